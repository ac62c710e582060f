"""The network again, from what a run keeps."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from flawmap import FlawmapError
from flawmap.exporting.rebuild import TorchBackend, rebuild
from flawmap.inspection.bundle.manifest import WEIGHTS
from flawmap.runtime.onnxruntime import OnnxRuntime
from flawmap.utils.files import digest


def test_it_is_the_graph(striped):
    torch_backend = TorchBackend(striped.run, striped.manifest)
    graph = OnnxRuntime((striped.run / "model.onnx").read_bytes())
    assert torch_backend.size == graph.size
    for found, expected in zip(
        torch_backend(striped.held_out), graph(striped.held_out), strict=True
    ):
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_weights_without_a_teacher_are_refused(striped):
    path = striped.run / WEIGHTS
    weights = load_file(path)
    save_file({k: v for k, v in weights.items() if not k.startswith("teacher.")}, path)
    with pytest.raises(FlawmapError, match="does not fit its manifest: its teacher: not a ResNet"):
        rebuild(striped.run, signed(striped))


def test_weights_that_do_not_fit_are_refused(striped):
    path = striped.run / WEIGHTS
    weights = load_file(path)
    name = next(k for k in weights if k.startswith("student.") and k.endswith(".weight"))
    save_file({k: v for k, v in weights.items() if k != name}, path)
    with pytest.raises(FlawmapError, match=f"does not fit its manifest: {name}"):
        rebuild(striped.run, signed(striped))
    path.write_bytes(b"cut short")
    with pytest.raises(FlawmapError, match="does not fit its manifest"):
        rebuild(striped.run, signed(striped))


def test_weights_of_another_run_are_refused_though_they_fit(striped):
    path = striped.run / WEIGHTS
    save_file({name: value + 1 for name, value in load_file(path).items()}, path)
    with pytest.raises(FlawmapError, match="not the weights that its manifest names"):
        rebuild(striped.run, striped.manifest)
    rebuild(striped.run, signed(striped))


def test_a_method_that_is_none_is_refused(striped):
    manifest = striped.manifest.model_copy(update={"method": "nonsense"})
    with pytest.raises(FlawmapError, match="nonsense"):
        rebuild(striped.run, manifest)


def signed(striped):
    """Its manifest, with the digest of the weights as they are now."""
    files = striped.manifest.files | {WEIGHTS: digest(striped.run / WEIGHTS)}
    return striped.manifest.model_copy(update={"files": files})
