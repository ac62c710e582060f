"""Thresholds of exports: from the images that calibrate the run, whatever it looks at and how.

The graph itself stands in for its INT8 form: whose thresholds are set does not hang on it.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import flawmap
from flawmap import FlawmapError, Inspector
from flawmap.cli.console.exports import show_export
from flawmap.cli.console.info import show_info
from flawmap.data.image_io.images import write_png
from flawmap.exporting import export as exporting
from flawmap.inspection.bundle.manifest import read_manifest, write_manifest
from flawmap.inspection.defects import Filters
from flawmap.utils.files import digest
from training.tiny import tiny_images

pytestmark = pytest.mark.slow  # exports


@pytest.fixture
def run(striped, few_defects, monkeypatch) -> Path:
    monkeypatch.setattr("flawmap.exporting.quantize.quantise_onnx", lambda graph, *_: graph)
    return striped.run


@pytest.fixture
def others(tmp_path) -> Path:
    """Thirty good images that the run has not seen."""
    (folder := tmp_path / "others").mkdir()
    for index, image in enumerate(tiny_images(60)[30:]):
        write_png(folder / f"{index:02}.png", image)
    return folder


def changed(run: Path, **changes) -> None:
    write_manifest(run, read_manifest(run).model_copy(update=changes))


def as_folds(run: Path) -> None:
    manifest = read_manifest(run)
    every = manifest.training.trained_on + manifest.calibration.images
    changed(
        run,
        calibration=manifest.calibration.model_copy(update={"folds": 4}),
        training=manifest.training.model_copy(update={"trained_on": every}),
    )


def files(run: Path) -> dict[str, str]:
    return {str(p.relative_to(run)): digest(p) for p in run.rglob("*") if p.is_file()}


def test_an_export_promises_what_the_calibrating_images_promise_and_says_it(run, others, capsys):
    """Those that calibrate now, all of them, at the rates asked for; not those of training."""
    stored = flawmap.calibrate(run, others, false_reject=0.05, review=0.1).calibration
    said: list[str] = []
    found = flawmap.export(run, "onnx", int8=True, say=said.append)
    assert "30 good images that calibrate the run set the thresholds for INT8" in said
    own = found.calibration
    assert own.images == stored.images
    assert (own.reject.asked, own.review.asked, len(own.scores)) == (0.05, 0.1, 30)
    assert own.statement() == stored.statement()
    assert own.places == (str(others),)
    assert found.flips == 0, "the graph is the same, and rounding flips nothing"
    assert read_manifest(run).exports["onnx-int8"].calibration == own
    show_export(found)
    assert own.statement() in capsys.readouterr().out
    show_info(read_manifest(run))
    assert " ".join(capsys.readouterr().out.split()).count("Of good parts like these 30") == 2


def test_an_image_left_out_of_the_run_is_left_out_of_the_export(run, others):
    """One that stands apart; the export says so, as the run does."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    write_png(others / "zz.png", noise)
    found = flawmap.calibrate(run, others).calibration
    # what so short a training makes of noise differs from processor to processor
    high = [
        3 * max(found.scores) if image == digest(others / "zz.png") else score
        for score, image in zip(found.scores, found.images, strict=True)
    ]
    changed(run, calibration=found.model_copy(update={"scores": tuple(high)}))
    stored = flawmap.calibrate(run, leave_out_outliers=True).calibration
    assert stored.left_out == (digest(others / "zz.png"),)
    own = flawmap.export(run, "onnx", int8=True).calibration
    assert (own.images, own.left_out) == (stored.images, stored.left_out)
    assert own.statement() == stored.statement()


def test_flips_are_counted_at_the_thresholds_that_the_run_has(run, striped, monkeypatch):
    """Half the scores: nothing flips at thresholds of its own, everything at the run's alone."""
    from flawmap.runtime.onnxruntime import OnnxRuntime

    class Halved(OnnxRuntime):
        def __call__(self, images):
            maps, scores = super().__call__(images)
            return maps, scores / 2

    first = exporting.OnnxRuntime
    made: list[object] = []

    def second_is_halved(graph):
        made.append(graph)
        return first(graph) if len(made) == 1 else Halved(graph)

    monkeypatch.setattr(exporting, "OnnxRuntime", second_is_halved)
    found = flawmap.export(run, "onnx", int8=True, force=True)
    assert found.flips == 0
    stored = striped.manifest.calibration
    assert found.calibration.reject.value == pytest.approx(stored.reject.value / 2, rel=1e-4)


def test_calibrating_again_scores_the_export_again(run, others):
    flawmap.export(run, "onnx", int8=True)
    found = flawmap.calibrate(run, sorted(others.iterdir())[:9]).calibration
    own = read_manifest(run).exports["onnx-int8"].calibration
    assert own.images == found.images
    flawmap.calibrate(run, others, add=True)
    manifest = read_manifest(run)
    for one in (manifest.calibration, manifest.exports["onnx-int8"].calibration):
        assert len(one.scores) == len(set(one.images)) == 30
    flawmap.export(run, "onnx", int8=True)
    assert len(read_manifest(run).exports["onnx-int8"].calibration.scores) == 30


def test_without_the_calibrating_images_nothing_is_exported(run, others, tmp_path):
    flawmap.calibrate(run, others)
    others.rename(tmp_path / "moved")
    (tmp_path / "moved" / "07.png").rename(tmp_path / "07.png")
    before = files(run)
    with pytest.raises(FlawmapError) as caught:
        flawmap.export(run, "onnx", int8=True, images=tmp_path / "moved")
    folder = read_manifest(run).training.folder
    assert str(caught.value) == (
        f"{run}: 29 of the 30 images that calibrate it were found in {tmp_path / 'moved'}, "
        f"{others}, {folder}. Give the folder that holds them with --images, or calibrate on "
        f"others: flawmap calibrate {run} GOOD_IMAGES"
    )
    assert files(run) == before
    assert flawmap.export(run, "onnx").within_limits, "in float32 the run's thresholds hold on"
    found = flawmap.export(run, "onnx", int8=True, images=[tmp_path / "moved", tmp_path / "07.png"])
    assert len(found.calibration.scores) == 30


def test_ranges_need_images_trained_on(run, striped, others, tmp_path):
    """Those that set the thresholds must not set the ranges as well."""
    flawmap.calibrate(run, others)
    training = striped.manifest.training
    changed(run, training=training.model_copy(update={"folder": str(tmp_path / "gone")}))
    with pytest.raises(FlawmapError, match=r"images that the inspector was trained on.*--images"):
        flawmap.export(run, "onnx", int8=True)
    assert flawmap.export(run, "onnx", int8=True, images=training.folder).calibration


def test_a_run_by_folds_needs_images_that_it_has_not_seen(run, others):
    as_folds(run)
    with pytest.raises(FlawmapError, match=r"by folds.*--images, or: flawmap calibrate"):
        flawmap.export(run, "onnx", int8=True)
    assert flawmap.export(run, "onnx").within_limits
    found = flawmap.export(run, "onnx", int8=True, images=others).calibration
    assert (len(found.scores), found.folds, found.left_out) == (30, 0, ())
    assert found.places == (str(others),)
    assert "no guarantee" not in found.statement()
    on_int8 = flawmap.evaluate(run, others, precision="int8", backend="onnxruntime")
    assert on_int8.calibrated == len(on_int8.rows) == 30
    assert flawmap.evaluate(run, others).calibrated == 0, "in float32 they set no threshold"
    flawmap.calibrate(run, others)
    assert flawmap.export(run, "onnx", int8=True).calibration.images == found.images


@pytest.mark.parametrize("fit", ["squash", "letterbox", "tiles"])
def test_with_a_region_and_filters_the_export_judges_as_the_run_does(run, others, tmp_path, fit):
    """Its thresholds are of scores within the region, of whole images however they are framed."""
    for index, path in enumerate(sorted(others.iterdir())):
        if index >= 6:
            path.unlink()
        else:
            write_png(path, np.tile(tiny_images(40)[34 + index], (2, 2, 1))[:100, :110])
    before = read_manifest(run).preprocessing.model_copy(
        update={"fit": fit, "overlap": 16 if fit == "tiles" else 0}
    )
    changed(run, preprocessing=before, filters=Filters(min_area=4.0))
    flawmap.calibrate(run, others)
    roi = np.zeros((100, 110), np.uint8)
    roi[:, :60] = 255
    write_png(tmp_path / "roi.png", roi)
    flawmap.regions(run, roi=tmp_path / "roi.png")
    stored = read_manifest(run).calibration
    own = flawmap.export(run, "onnx", int8=True).calibration
    np.testing.assert_allclose(own.scores, stored.scores, rtol=1e-4)
    assert own.images == stored.images
    inspectors = [
        Inspector.load(run, backend="onnxruntime", precision=precision)
        for precision in ("float32", "int8")
    ]
    for path in others.iterdir():
        first, other = (inspector.inspect(path) for inspector in inspectors)
        assert first.score == pytest.approx(other.score, rel=1e-4)
        assert first.verdict == other.verdict


def test_bf16_thresholds_that_cannot_be_set_are_told_of(run, monkeypatch):
    as_folds(run)
    monkeypatch.setattr(exporting, "has_bf16_here", lambda: True)
    said: list[str] = []
    flawmap.export(run, "openvino", say=said.append)
    assert any(
        line.startswith("No thresholds are set for bf16. ") and "by folds" in line for line in said
    )
    assert set(read_manifest(run).exports) == {"openvino-float32"}


def test_an_export_killed_before_its_manifest_leaves_a_run_that_works(run, others, monkeypatch):
    """The old graph until the manifest is written, then the new one; no file of the other stays."""
    flawmap.export(run, "onnx", int8=True)
    old = set(read_manifest(run).exports["onnx-int8"].files)
    changes = (b"changed", b"changed again")
    for more in changes:
        # an entry of metadata that is not flawmap's makes it another network to the digest
        entry = b"\x0a\x01k\x12" + bytes([len(more)]) + more
        grown = b"\x72" + bytes([len(entry)]) + entry
        monkeypatch.setattr(
            "flawmap.exporting.quantize.quantise_onnx", lambda graph, *_, grown=grown: graph + grown
        )
        with monkeypatch.context() as killed:
            killed.setattr(exporting, "save_manifest", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                flawmap.export(run, "onnx", int8=True)
        assert set(read_manifest(run).exports["onnx-int8"].files) == old
        Inspector.load(run, backend="onnxruntime", precision="int8")
        (run / ".export-a1b2c3d4").mkdir()
        (run / ".export-of-mine").mkdir(exist_ok=True)
        flawmap.export(run, "onnx", int8=True)
        new = set(read_manifest(run).exports["onnx-int8"].files)
        assert new != old
        there = {f"exports/onnx/{path.name}" for path in (run / "exports" / "onnx").iterdir()}
        assert there == new
        assert [path.name for path in run.glob(".export-*")] == [".export-of-mine"]
        Inspector.load(run, backend="onnxruntime", precision="int8")
        old = new
    shutil.rmtree(run / ".export-of-mine")
