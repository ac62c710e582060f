"""Exports: what is written, what is measured, what is refused."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import flawmap
from flawmap import FlawmapError, Inspector, UsageError
from flawmap.cli.console.info import show_info
from flawmap.data.image_io.images import write_png
from flawmap.exporting import export as exporting
from flawmap.exporting import limits
from flawmap.exporting.quantization_scope import scopes
from flawmap.inspection.bundle.manifest import (
    Export,
    Preprocessing,
    read_manifest,
    write_manifest,
)
from flawmap.inspection.bundle.models import file_digest
from flawmap.inspection.bundle.onnx_metadata import read_metadata
from flawmap.runtime.onnxruntime import OnnxRuntime
from flawmap.runtime.registry import has_bf16_here
from flawmap.utils.files import digest
from methods.tiny import SIZE

pytestmark = pytest.mark.slow  # exports and quantises for some 15 s of a core

ALL = "all convolutions but the stems"
DRAWN = 40  # defects that exports are judged on here


def files(run: Path) -> set[str]:
    return {str(p.relative_to(run)) for p in run.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def opened_once(striped_once, tmp_path_factory) -> tuple[Path, Export]:
    """The run exported for OpenVINO in float32, and what the export returned."""
    run = tmp_path_factory.mktemp("opened") / "run"
    shutil.copytree(striped_once.run, run)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exporting, "_ANOMALIES", DRAWN)
        return run, flawmap.export(run, "openvino")


@pytest.fixture
def opened(opened_once, tmp_path) -> Path:
    """A copy of that run."""
    return Path(shutil.copytree(opened_once[0], tmp_path / "opened"))


def test_openvino_in_float32(striped, opened_once):
    run, found = opened_once
    written = {"exports/openvino/model.xml", "exports/openvino/model.bin"}
    assert files(run) - files(striped.run) == written
    assert found.files == {name: digest(run / name) for name in found.files}
    assert set(found.files) == written
    assert found.images == len(striped.held_out)
    assert 0 <= found.map_mean <= found.map_max <= 1e-4
    assert 0 <= found.score_mean <= found.score_max <= 1e-4
    assert (found.flips, found.within_limits, found.forced) == (0, True, False)
    exports = read_manifest(run).exports
    assert exports["openvino-float32"] == found
    assert set(exports) - {"openvino-float32"} == ({"openvino-bf16"} if has_bf16_here() else set())


bf16_alone = pytest.mark.skipif(not has_bf16_here(), reason="this processor has no bf16 arithmetic")


@bf16_alone
def test_how_far_bf16_is_from_float32_is_told_beside_it(striped, opened):
    found = read_manifest(opened).exports["openvino-bf16"]
    assert found.files == {}
    assert found.images > DRAWN
    assert 1e-4 < found.map_max < 0.5
    inspector, first = Inspector.load(opened, precision="bf16"), Inspector.load(opened)
    assert inspector.manifest.calibration == found.calibration != first.manifest.calibration
    maps = [one.inspect(striped.held_out[0]).anomaly_map for one in (inspector, first)]
    assert 0 < np.abs(maps[0] - maps[1]).max() <= found.map_max + 1e-6


@bf16_alone
def test_calibrating_where_there_is_no_bf16_takes_its_thresholds_away(striped, opened, monkeypatch):
    good = striped.manifest.training.folder
    again = flawmap.calibrate(opened, [good])
    assert again.warnings == ("16 images left out: the inspector was trained on them.",)
    own = read_manifest(opened).exports["openvino-bf16"].calibration
    assert own != again.calibration
    monkeypatch.setattr("flawmap.calibration.recalibrate.has_bf16_here", lambda: False)
    assert "for bf16 were removed" in flawmap.calibrate(opened, [good]).warnings[-1]
    assert "openvino-bf16" not in read_manifest(opened).exports


def test_bf16_before_its_export_says_how(striped):
    with pytest.raises(FlawmapError, match=r"no thresholds for bf16.*flawmap export .* openvino"):
        Inspector.load(striped.run, precision="bf16")


def test_onnx_in_float32_is_compared_with_torch(striped):
    before = files(striped.run)
    found = flawmap.export(striped.run, "onnx")
    assert files(striped.run) == before
    assert found.files == {"model.onnx": file_digest(striped.run, "model.onnx")}
    assert 0 < found.map_max <= 1e-4, "another library's sums differ a little"


def test_of_a_tiled_inspector_whole_photographs_are_compared(striped, tmp_path):
    (folder := tmp_path / "large" / "good").mkdir(parents=True)
    for index, one in enumerate(striped.held_out):
        write_png(folder / f"{index}.png", np.tile(one, (2, 3, 1))[:100, :150])
    size = Preprocessing(size=SIZE, fit="tiles", overlap=16)
    write_manifest(striped.run, striped.manifest.model_copy(update={"preprocessing": size}))
    found = flawmap.export(striped.run, "onnx", images=folder.parent)
    assert found.images == len(striped.held_out)
    assert 0 < found.map_max <= 1e-4


@pytest.fixture(scope="module")
def quantised_once(striped_once, tmp_path_factory) -> Path:
    """The run with INT8 graphs for both runtimes, whatever they lose."""
    run = tmp_path_factory.mktemp("quantised") / "run"
    shutil.copytree(striped_once.run, run)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "AP_LIMIT", 1.0)
        patch.setattr(limits, "FLIP_LIMIT", 1.0)
        patch.setattr(limits, "P_VALUE_LIMIT", 1.0)
        patch.setattr(exporting, "_ANOMALIES", DRAWN)
        for to in ("onnx", "openvino"):
            flawmap.export(run, to, int8=True)
    return run


@pytest.fixture
def quantised(quantised_once, tmp_path) -> Path:
    return Path(shutil.copytree(quantised_once, tmp_path / "quantised"))


@pytest.mark.parametrize(("to", "backend"), [("onnx", "onnxruntime"), ("openvino", "openvino")])
def test_int8_runs_with_its_own_thresholds(striped, quantised, to, backend):
    found = read_manifest(quantised).exports[f"{to}-int8"]
    assert found.quantised == ALL, "the first that keeps the limits"
    assert found.images > DRAWN
    assert found.within_limits
    assert not found.forced
    before, after = found.pixel_ap
    assert 0 < before <= 1
    assert 0 < after <= 1
    first = Inspector.load(quantised)
    inspector = Inspector.load(quantised, precision="int8", backend=backend)
    assert inspector.backend.name == backend
    scores = [inspector.inspect(image).score for image in striped.held_out]
    np.testing.assert_allclose(
        sorted(inspector.manifest.calibration.scores), sorted(scores), atol=1e-5
    )
    assert inspector.manifest.calibration != first.manifest.calibration
    maps = [i.inspect(striped.held_out[0]).anomaly_map for i in (inspector, first)]
    assert 0 < np.abs(maps[0] - maps[1]).max() <= found.map_max + 1e-6


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_int8_is_the_same_on_a_processor_without_vnni(striped, quantised, tmp_path, backend):
    np.save(tmp_path / "image.npy", striped.held_out[0])
    code = (
        "import sys, numpy as np, flawmap;"
        "run, image, backend = sys.argv[1:];"
        "inspector = flawmap.Inspector.load(run, precision='int8', backend=backend);"
        "print(inspector.inspect(np.load(image)).score)"
    )
    words = [sys.executable, "-c", code, str(quantised), str(tmp_path / "image.npy"), backend]
    older = os.environ | {"ONEDNN_MAX_CPU_ISA": "AVX2"}
    there = subprocess.run(words, env=older, capture_output=True, check=True).stdout
    inspector = Inspector.load(quantised, precision="int8", backend=backend)
    here = inspector.inspect(striped.held_out[0]).score
    assert here == pytest.approx(float(there), abs=1e-4)


def test_an_int8_network_says_its_own_thresholds_and_takes_new_ones(quantised):
    name = "exports/onnx/model.int8.onnx"
    for change in ({}, {"false_reject": 0.3, "review": 0.5}):
        if change:
            flawmap.calibrate(quantised, **change)
        manifest = read_manifest(quantised)
        found = read_metadata((quantised / name).read_bytes())
        export = manifest.exports["onnx-int8"]
        assert found["flawmap.threshold.reject"] == repr(export.calibration.reject.value)
        assert found["flawmap.precision"] == "int8"
        assert found["flawmap.digest"] == export.files[name] != manifest.files["model.onnx"]
        Inspector.load(quantised, precision="int8", backend="onnxruntime")
    openvino = (quantised / "exports/openvino/model.int8.xml").read_text(encoding="utf-8")
    assert "flawmap." not in openvino, "thresholds there would grow old"


def test_openvinos_int8_graph_goes_first(quantised):
    assert Inspector.load(quantised, precision="int8").backend.name == "openvino"


def test_fewer_convolutions_are_tried_and_past_the_limits_nothing_is_kept(
    striped, few_defects, monkeypatch
):
    monkeypatch.setattr(limits, "AP_LIMIT", -1.0)
    said: list[str] = []
    forced = flawmap.export(striped.run, "onnx", int8=True, force=True, say=said.append)
    tried = [line.removeprefix("Quantising ") for line in said if line.startswith("Quant")]
    assert tried == [
        ALL,
        "teacher's convolutions, and the student's 3x3 but for its finest level",
        "teacher's convolutions",
        "teacher's convolutions but for its finest level",
    ]
    assert (forced.within_limits, forced.forced, forced.quantised) == (False, True, tried[-1])
    assert read_manifest(striped.run).exports["onnx-int8"].forced
    before = files(striped.run)
    monkeypatch.setattr(
        "flawmap.exporting.quantization_scope.scopes", lambda graph: scopes(graph)[-1:]
    )
    with pytest.raises(FlawmapError, match=r"of pixel AP on synthetic anomalies .*give --force"):
        flawmap.export(striped.run, "onnx", int8=True)
    assert files(striped.run) == before


def test_a_float_graph_too_far_off_is_refused(striped, monkeypatch):
    monkeypatch.setattr(limits, "FLOAT_LIMIT", 1e-12)
    with pytest.raises(FlawmapError, match=r"differs by .*nothing was kept"):
        flawmap.export(striped.run, "openvino")
    assert not (striped.run / "exports").exists()


def test_what_cannot_be_exported_says_why(striped, tmp_path):
    with pytest.raises(UsageError, match="Unknown runtime 'tensorrt': export to onnx or openvino"):
        flawmap.export(striped.run, "tensorrt")
    with pytest.raises(FlawmapError, match=r"No such image or folder: .*nowhere"):
        flawmap.export(striped.run, "onnx", images=tmp_path / "nowhere")


def test_int8_before_its_export_says_how(striped):
    with pytest.raises(FlawmapError, match=r"flawmap export .*run --to openvino --int8"):
        Inspector.load(striped.run, precision="int8")
    with pytest.raises(FlawmapError, match=r"flawmap export .*run --to onnx --int8"):
        Inspector.load(striped.run, precision="int8", backend="onnxruntime")
    with pytest.raises(UsageError, match="INT8 runs on openvino or onnxruntime"):
        Inspector.load(striped.run, precision="int8", backend="torch")


def test_an_exported_file_that_was_changed_is_not_run(quantised):
    path = quantised / "exports" / "onnx" / "model.int8.onnx"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(FlawmapError, match=r"model\.int8\.onnx is not the model.*export it again"):
        Inspector.load(quantised, precision="int8", backend="onnxruntime")


def test_measuring_int8_leaves_the_first_graphs_figures_and_thresholds(quantised):
    manifest = read_manifest(quantised)
    first = flawmap.evaluate(quantised, manifest.training.folder)
    kept = (quantised / "manifest.json").read_text()
    flawmap.evaluate(quantised, manifest.training.folder, precision="int8")
    assert (quantised / "manifest.json").read_text() == kept
    found = read_manifest(quantised)
    assert found.metrics["images"] == first.metrics.to_dict()["images"]
    assert (found.calibration, found.exports) == (manifest.calibration, manifest.exports)


def test_a_run_may_move(striped, few_defects, tmp_path):
    shutil.move(striped.run, tmp_path / "elsewhere")
    assert flawmap.export(tmp_path / "elsewhere", "openvino").within_limits


# --- on another device


@pytest.fixture
def pretended_cuda(monkeypatch) -> list[str]:
    """ONNX Runtime's ``cuda``, computed by the CPU; the devices that were opened."""
    opened: list[str] = []
    load = exporting.open_backend

    def open_backend(graph, **options):
        opened.append(options["device"])
        return load(graph, **{**options, "device": "cpu"})

    monkeypatch.setattr(exporting, "open_backend", open_backend)
    return opened


def test_parity_on_a_device_is_kept_and_no_file_written(striped, pretended_cuda, capsys):
    before = files(striped.run)
    found = flawmap.export(striped.run, "onnx", device="cuda")
    assert files(striped.run) == before
    assert pretended_cuda == ["cuda"]
    manifest = read_manifest(striped.run)
    assert manifest.exports == striped.manifest.exports
    parity = manifest.devices["onnxruntime/cuda"]
    assert (parity.runtime, parity.device, parity.limit) == ("onnxruntime", "cuda", 1e-4)
    assert (parity.map, parity.score) == (found.map_max, found.score_max)
    assert parity.images == found.images == len(striped.held_out)
    show_info(manifest)
    assert "parity on onnxruntime/cuda" in capsys.readouterr().out


def test_a_device_that_computes_otherwise_is_refused(striped, monkeypatch):
    def open_backend(graph, **options):
        backend = OnnxRuntime(graph)
        monkeypatch.setattr(
            OnnxRuntime, "__call__", lambda self, images: coarse(run_graph(self, images))
        )
        return backend

    def coarse(found):
        return tuple(values + np.float32(1e-3) for values in found)

    run_graph = OnnxRuntime.__call__
    monkeypatch.setattr(exporting, "open_backend", open_backend)
    with pytest.raises(FlawmapError, match=r"differs by 0\.001, more than 0\.0001: nothing"):
        flawmap.export(striped.run, "onnx", device="cuda")
    assert not read_manifest(striped.run).devices


def test_int8_is_not_compared_elsewhere(striped):
    with pytest.raises(UsageError, match="leave out --device"):
        flawmap.export(striped.run, "onnx", int8=True, device="cuda")
