"""Parity is of one runtime on one device."""

from __future__ import annotations

from pathlib import Path

import pytest

from flawmap.inspection import inspector as module
from flawmap.inspection.bundle.devices import place, warn_if_unmeasured
from flawmap.inspection.bundle.manifest import Manifest, Parity, read_manifest
from flawmap.inspection.inspector import Inspector

RUN = Path("run")


@pytest.fixture
def manifest(calibrated_run: Path) -> Manifest:
    measured = Parity(runtime="openvino", device="GPU", images=8, map=0.0, score=0.0, limit=1e-4)
    forced = measured.model_copy(update={"device": "GPU.1", "map": 0.01})
    devices = {"openvino/GPU": measured, "openvino/GPU.1": forced}
    return read_manifest(calibrated_run).model_copy(update={"devices": devices})


@pytest.mark.parametrize(
    ("runtime", "device", "precision", "told"),
    [
        ("onnxruntime", "cpu", "float32", None),
        ("openvino", "CPU", "int8", None),
        ("torch", "cuda", "float32", None),  # it is the trained network
        ("openvino", "gpu", "float32", None),
        ("openvino", "gpu.1", "float32", "differs on gpu.1 by up to 0.01"),
        ("onnxruntime", "cuda", "float32", "flawmap export run --to onnx --device cuda"),
        ("openvino", "NPU", "float32", "flawmap export run --to openvino --device NPU"),
        ("openvino", "GPU", "int8", "was compared on the CPU, not on"),
    ],
)
def test_a_device_where_parity_was_never_measured_is_told(
    manifest: Manifest, caplog, runtime, device, precision, told
):
    warn_if_unmeasured(RUN, manifest, runtime, device, precision)
    assert len(caplog.records) == (told is not None)
    assert told is None or told in caplog.text


def test_loading_tells_it(tiny_run: Path, monkeypatch, caplog):
    opened = module.open_backend
    monkeypatch.setattr(
        module, "open_backend", lambda *files, **o: opened(*files, **{**o, "device": "cpu"})
    )
    Inspector.load(tiny_run)
    assert not caplog.records
    Inspector.load(tiny_run, device="cuda")
    assert "was never compared on cuda" in caplog.text


def test_places_are_spelt_in_one_way():
    assert place("onnxruntime", "CUDA") == "onnxruntime/cuda"
    assert place("openvino", "gpu") == "openvino/GPU"
