"""The artefact: what it says of an image, and what it refuses."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import io
import json
import math
import multiprocessing
import pickle
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import flawmap
from flawmap import FlawmapError, Inspector, UsageError
from flawmap.data.image_io.arrays import Colour
from flawmap.data.image_io.images import encode_png, read_image, resize_image, write_png
from flawmap.data.layouts import open_dataset
from flawmap.inspection.decision import PostProcessor
from flawmap.inspection.read_outs.distances import load_distances
from flawmap.runtime.onnxruntime import OnnxRuntime


@pytest.fixture(scope="module")
def inspector(tiny_run: Path) -> Inspector:
    return Inspector.load(tiny_run)


@pytest.fixture
def left_half(tmp_path: Path) -> Path:
    """A region: the left half of a photograph of 64 x 64."""
    path = tmp_path / "left.png"
    write_png(path, np.tile(np.uint8([[255] * 32 + [0] * 32]), (64, 1)))
    return path


def _unpickled(data: bytes) -> Any:
    return pickle.loads(data)  # noqa: S301 - what this very test wrote


def edit(run: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the manifest as a person with an editor would."""
    path = run / "manifest.json"
    value = json.loads(path.read_text(encoding="utf-8"))
    change(value)
    path.write_text(json.dumps(value), encoding="utf-8")


def message(run: Path) -> str:
    with pytest.raises(FlawmapError) as caught:
        Inspector.load(run)
    text = str(caught.value)
    assert len(text.splitlines()) <= 2
    assert "Traceback" not in text
    return text


def test_file_bytes_and_array_agree(inspector: Inspector, images: Path) -> None:
    path = images / "part10.png"
    seen = [inspector.inspect(x) for x in (path, str(path), path.read_bytes(), read_image(path))]
    for other in seen[1:]:
        assert np.array_equal(seen[0].anomaly_map, other.anomaly_map)
        assert (seen[0].score, seen[0].p_value, seen[0].verdict, seen[0].defects) == (
            other.score, other.p_value, other.verdict, other.defects,
        )  # fmt: skip


def test_map_mask_and_score(inspector: Inspector, images: Path, tiny_run: Path) -> None:
    seen = inspector.inspect(images / "part2.png")
    assert seen.anomaly_map.shape == seen.mask.shape == inspector.size == (128, 128)
    assert seen.anomaly_map.dtype == np.float32
    assert seen.mask.dtype == np.uint8
    assert np.isfinite(seen.anomaly_map).all()
    limit = inspector.manifest.calibration.pixel.value
    assert np.array_equal(seen.mask, seen.anomaly_map > limit)
    # the score is the mean of the highest pixels, lowered where teacher and student agree
    count = inspector.manifest.configuration["top_pixels"]
    top = np.sort(seen.anomaly_map, axis=None)[-count:].astype(np.float64)
    graph = load_distances(tiny_run, (1, 2, 3)).backend
    image = resize_image(read_image(images / "part2.png"), inspector.size)
    (distances,) = graph._run(["distances"], image[None])
    apart = np.sort(distances.clip(min=1e-3).prod(1), axis=None)[-math.ceil(count / 16) :].mean()
    power = inspector.manifest.configuration["score_power"]
    assert seen.score == pytest.approx(top.mean() * apart**power, rel=1e-4)
    held_out = inspector.manifest.calibration.scores
    above = sum(score >= seen.score for score in held_out)
    assert seen.p_value == (1 + above) / (len(held_out) + 1)
    assert seen.milliseconds > 0


def test_batch_of_the_graph_is_its_images_one_by_one(inspector: Inspector) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 128, 128, 3), np.uint8)
    maps, scores = inspector.backend(images)
    for image, found, score in zip(images, maps, scores, strict=True):
        one_map, one_score = inspector.backend(image[None])
        np.testing.assert_allclose(one_map[0], found, atol=1e-5)
        np.testing.assert_allclose(one_score[0], score, atol=1e-5)


def test_inspect_evaluate_and_predict_say_the_same_to_the_bit(
    inspector: Inspector, run_copy: Path, tiny_data: Path
) -> None:
    evaluated = flawmap.evaluate(run_copy, tiny_data)
    rows = {tiny_data / row.path: row for row in evaluated.rows}
    records = flawmap.predict(run_copy, [tiny_data / "test"])
    assert len(records) == len(rows) == 9
    times = {"milliseconds": None}
    for record in records:
        path = Path(str(record.path))
        alone = inspector.inspect(path).record.model_copy(update=times)
        assert record.model_copy(update=times) == alone
        row = rows[path].record.model_copy(update=times | {"path": record.path})
        assert row == alone


def test_calibration_is_what_the_inspector_says_of_the_held_out_images(
    inspector: Inspector, tiny_data: Path
) -> None:
    """No image both taught and judged: those held out score just what the manifest keeps."""
    manifest = inspector.manifest
    trained = set(manifest.training.trained_on)
    paths = open_dataset(tiny_data).good_train
    held = [p for p in paths if hashlib.sha256(p.read_bytes()).hexdigest() not in trained]
    assert len(held) == manifest.training.held_out == 5
    assert len(trained) == manifest.training.images == 5
    seen = [inspector.inspect(path) for path in held]
    assert tuple(s.score for s in seen) == manifest.calibration.scores
    assert tuple(float(s.anomaly_map.max()) for s in seen) == manifest.calibration.peaks


def test_defects_lie_in_the_photograph(run_copy: Path, images: Path) -> None:
    def lower(value: dict[str, Any]) -> None:
        value["calibration"]["pixel"]["value"] = float(np.median(clean.anomaly_map))

    clean = Inspector.load(run_copy).inspect(images / "part2.png")
    edit(run_copy, lower)
    seen = Inspector.load(run_copy).inspect(images / "part2.png")
    assert seen.defects
    for defect in seen.defects:
        x, y, width, height = defect.box
        assert 0 <= x < x + width <= 60
        assert 0 <= y < y + height <= 40
        assert 0 < defect.area <= 60 * 40


def test_frames_of_every_kind_get_the_same_score(inspector: Inspector) -> None:
    rgb = np.random.default_rng(5).integers(0, 256, (64, 64, 3), np.uint8)
    grey, png = rgb[..., 0], encode_png(rgb)
    bgra = np.dstack([rgb[..., ::-1], grey])
    frames: list[tuple[Any, Colour | None]] = [
        (rgb, None), (rgb[..., ::-1], "BGR"), (np.dstack([rgb, grey]), None), (bgra, "BGRA"),
        (rgb.astype(np.uint16) * 257, None), (Image.fromarray(rgb), None), (io.BytesIO(png), None),
        (png, None), (bytearray(png), None),
    ]  # fmt: skip
    scores = [inspector.inspect(frame, colour).score for frame, colour in frames]
    assert scores == scores[:1] * len(scores)
    mono = [inspector.inspect(frame).score for frame in (grey, grey[..., None], encode_png(grey))]
    assert mono == mono[:1] * 3
    assert mono[0] != scores[0]


@pytest.mark.parametrize(
    ("image", "colour"),
    [
        (np.full((256, 256, 3), 255.0, np.float32), None),
        (np.zeros((256, 256), bool), None),
        (np.zeros((0, 10, 3), np.uint8), None),
        (np.zeros((3, 256, 256), np.uint8), None),
        (np.zeros((8, 8, 3), np.uint8), "GBR"),
        (b"", "GBR"),
        (None, None),
        (["a.png"], None),
        (io.StringIO(), None),
    ],
)
def test_what_is_no_image_is_refused(inspector: Inspector, image: Any, colour: Any) -> None:
    with pytest.raises(UsageError, match=r"give|divide|binary"):
        inspector.inspect(image, colour)


def test_unreadable_images_are_refused(inspector: Inspector, tmp_path: Path) -> None:
    with pytest.raises(FlawmapError, match="0 bytes"):
        inspector.inspect(b"")
    with pytest.raises(FlawmapError, match=r"nothing\.png"):
        inspector.inspect(tmp_path / "nothing.png")


def test_two_inspections_are_compared_by_what_they_say(inspector: Inspector, images: Path) -> None:
    path = images / "part2.png"
    one, again = inspector.inspect(path), inspector.inspect(path)
    other = inspector.inspect(images / "part10.png")
    assert one == again
    assert hash(one) == hash(again)
    assert one != other
    assert one != dataclasses.replace(one, mask=1 - one.mask)
    assert one != dataclasses.replace(one, raw_map=one.raw_map[1:])
    assert one != "good"
    assert len({one, again, other}) == 2
    assert [one] == [again]


def test_results_and_inspectors_are_printed_in_a_line(
    inspector: Inspector, images: Path, tiny_run: Path
) -> None:
    said = repr(inspector.inspect(images / "part2.png"))
    assert said.startswith("Inspection(score=")
    assert "verdict=" in said
    assert "array" not in said
    assert repr(inspector) == f"<Inspector {tiny_run}, float32 on {inspector.backend.name}>"


def test_copies_and_pickles_say_the_same(
    run_copy: Path, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(run_copy.parent)
    inspector = Inspector.load(run_copy.name, threads=1)
    data = pickle.dumps(inspector)
    assert len(data) < 200_000, "the graph is not in it"
    monkeypatch.chdir(images)
    path = images / "part2.png"
    first = inspector.inspect(path)
    for other in (copy.copy(inspector), copy.deepcopy(inspector), _unpickled(data)):
        assert isinstance(other, Inspector)
        assert other.inspect(path) == first
        assert other.manifest == inspector.manifest
        assert other.source == inspector.source
    assert _unpickled(pickle.dumps(first)) == first == copy.deepcopy(first)


def test_what_is_set_when_it_is_pickled_stays(run_copy: Path, left_half: Path) -> None:
    """Thresholds, region and filters travel; the run may have others by then."""
    flawmap.regions(run_copy, roi=left_half, min_area=30)
    inspector = Inspector.load(run_copy)
    data = pickle.dumps(inspector)
    flawmap.regions(run_copy, everywhere=True, min_area=0)
    again = _unpickled(data)
    image = np.random.default_rng(0).integers(0, 256, (50, 50, 3), np.uint8)
    assert again.inspect(image) == inspector.inspect(image)
    assert again.manifest.filters.min_area == 30
    settings = PostProcessor.load(run_copy)
    assert _unpickled(pickle.dumps(settings)).manifest == settings.manifest
    assert copy.deepcopy(settings).manifest == settings.manifest


def test_a_pickle_without_its_run_says_so(run_copy: Path, tiny_run: Path) -> None:
    inspector = Inspector.load(run_copy)
    data = pickle.dumps(inspector)
    (run_copy / "model.onnx").unlink()
    with pytest.raises(FlawmapError, match=r"Cannot read .*model\.onnx"):
        _unpickled(data)
    with pytest.raises(pickle.PicklingError, match=r"Inspector\.load"):
        pickle.dumps(Inspector(inspector.manifest, inspector.backend))


def test_a_spawned_pool_inspects(tiny_run: Path, images: Path) -> None:
    inspector = Inspector.load(tiny_run, threads=1)
    paths = sorted(images.rglob("*.png"))
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        assert list(pool.map(inspector.inspect, paths)) == [inspector.inspect(p) for p in paths]


def test_many_threads_share_an_inspector(inspector: Inspector) -> None:
    rng = np.random.default_rng(1)
    images = [rng.integers(0, 256, (60 + i, 80, 3), np.uint8) for i in range(4)]
    alone = [inspector.inspect(image) for image in images]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(inspector.inspect, images * 6))
    assert together == alone * 6


def test_a_changed_graph_is_refused(run_copy: Path) -> None:
    path = run_copy / "model.onnx"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.unlink()
    path.write_bytes(data)
    assert "model.onnx is not the model that its manifest names" in message(run_copy)


def test_a_graph_cut_short_or_missing_is_refused(run_copy: Path) -> None:
    path = run_copy / "model.onnx"
    data = path.read_bytes()
    path.unlink()
    assert "Cannot read" in message(run_copy)
    path.write_bytes(data[:1000])
    assert "cut short" in message(run_copy)


def test_bytes_that_are_no_graph_are_refused() -> None:
    with pytest.raises(FlawmapError, match="cannot load the graph") as caught:
        OnnxRuntime(b"not a graph")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("kept", [0, 1, 100, 0.5, 0.99])
def test_a_truncated_manifest_is_refused(run_copy: Path, kept: float) -> None:
    path = run_copy / "manifest.json"
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data)) if 0 < kept < 1 else int(kept)])
    assert "not a JSON document" in message(run_copy)


@pytest.mark.parametrize("data", [b"\xff\xfe\x00", b"[" * 100_000, b"[]", b"null", b"3"])
def test_a_file_that_is_no_manifest_is_refused(run_copy: Path, data: bytes) -> None:
    (run_copy / "manifest.json").write_bytes(data)
    assert "manifest.json" in message(run_copy)


def test_a_newer_format_asks_for_a_newer_flawmap(run_copy: Path) -> None:
    edit(run_copy, lambda value: value.update(format=2, something="new"))
    assert "update flawmap" in message(run_copy)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda v: v.pop("calibration"), "calibration"),
        (lambda v: v.update(colour="blue"), "colour"),
        (lambda v: v.update(format=0), "format"),
        (lambda v: v["calibration"]["reject"].update(value="high"), "calibration.reject.value"),
        (lambda v: v["calibration"]["reject"].update(value=float("nan")), "reject.value"),
        (lambda v: v["calibration"].update(scores=[]), "calibration.scores"),
        (lambda v: v["preprocessing"].update(size=[64, 64]), "working size"),
        (lambda v: v["preprocessing"].update(size=[0, 0]), "working size"),
        (lambda v: v["files"].clear(), "model.onnx"),
    ],
)
def test_a_manifest_edited_by_hand_is_refused(
    run_copy: Path, change: Callable[[dict[str, Any]], object], told: str
) -> None:
    edit(run_copy, change)
    assert told in message(run_copy)


def test_incomplete_absent_or_no_run(tmp_path: Path) -> None:
    assert "No such run" in message(tmp_path / "nothing")
    (tmp_path / "file").touch()
    assert "is a file" in message(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    assert "holds no inspector" in message(tmp_path / "empty")


@pytest.mark.parametrize("left", ["settings.json", "checkpoints"])
def test_an_incomplete_run_says_how_to_go_on(tmp_path: Path, left: str) -> None:
    """A run killed before its first checkpoint has left its settings only."""
    if left == "checkpoints":
        (tmp_path / left).mkdir()
    else:
        (tmp_path / left).write_text("{}", encoding="utf-8")
    assert "--resume" in message(tmp_path)
