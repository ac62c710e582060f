"""Batches, order and bounded memory; frames of a camera."""

from __future__ import annotations

import io
import itertools
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import flawmap
from flawmap import FlawmapError, UsageError
from flawmap.data.image_io.images import read_image, write_png
from flawmap.data.resize import Framing
from flawmap.inspection import pipeline as module
from flawmap.inspection.decision import record_of
from flawmap.inspection.inspector import Inspector
from flawmap.inspection.pipeline import inspect_files
from flawmap.inspection.record import InspectionRecord
from flawmap.runtime.base import Backend, check_outputs
from flawmap.utils.files import digest


@pytest.fixture(scope="module")
def inspector(tiny_run) -> Inspector:
    return Inspector.load(tiny_run, threads=1)


def frames(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(7)
    return [rng.integers(0, 256, (50 + i, 60, 3), np.uint8) for i in range(count)]


@pytest.mark.parametrize("batch", [1, 2, 4, 7])
def test_a_batch_changes_nothing_but_the_time(inspector, images, batch):
    (images / "broken.png").write_bytes(b"no picture")
    paths = sorted(images.rglob("*.png"))
    found = list(inspect_files(inspector, paths, batch))
    assert [record_of(one).path for one in found] == list(map(str, paths))
    for path, one in zip(paths, found, strict=True):
        if path.name == "broken.png":
            assert isinstance(one, InspectionRecord)
            assert "broken.png" in str(one.error)
            continue
        alone = inspector.inspect(path)
        np.testing.assert_allclose(one.anomaly_map, alone.anomaly_map, atol=1e-5)
        assert one.score == pytest.approx(alone.score, abs=1e-5)
        assert one.record.image == alone.record.image == digest(path)
        assert one.milliseconds > 0


def test_a_batch_of_nothing_but_broken_files(inspector, tmp_path):
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for path in paths:
        path.write_bytes(b"no picture")
    assert all(one.error for one in inspect_files(inspector, paths, 2))


def test_predict_gives_the_same_lines_in_batches(tiny_run, images, tmp_path):
    one, many = (flawmap.predict(tiny_run, [images], batch=batch) for batch in (1, 3))
    assert [x.path for x in one] == [x.path for x in many]
    assert [x.score for x in many] == pytest.approx([x.score for x in one], abs=1e-5)


@pytest.mark.parametrize("batch", [1, 3])
def test_frames_are_inspected_in_order(inspector, batch):
    given = frames(5)
    found = list(inspector.inspect_frames(given, colour="RGB", batch=batch, ahead=2))
    expected = [inspector.inspect(frame).score for frame in given]
    assert [one.score for one in found] == pytest.approx(expected, abs=1e-5)


def test_bgr_is_rgb_turned_round(inspector):
    given = frames(2)
    turned = [np.ascontiguousarray(frame[..., ::-1]) for frame in given]
    bgr = [one.score for one in inspector.inspect_frames(turned, colour="BGR")]
    assert bgr == [one.score for one in inspector.inspect_frames(given, colour="RGB")]
    assert bgr != [one.score for one in inspector.inspect_frames(turned, colour="RGB")]


def test_a_verdict_does_not_wait_for_the_next_frame(inspector):
    fetched = []

    def camera():
        for frame in itertools.cycle(frames(1)):
            fetched.append(1)
            yield frame

    found = inspector.inspect_frames(camera(), colour="RGB")
    for count in (1, 2, 3):
        next(found)
        assert len(fetched) == count


def test_a_stream_without_end_is_held_in_bounded_memory(inspector):
    fetched = []

    def camera():
        for frame in itertools.cycle(frames(1)):
            fetched.append(1)
            yield frame

    found = inspector.inspect_frames(camera(), colour="RGB", batch=2, ahead=3)
    for _ in range(8):
        next(found)
    assert len(fetched) <= 8 + 2 + 3


@pytest.mark.parametrize("options", [{}, {"batch": 2}, {"ahead": 3}, {"batch": 3, "ahead": 2}])
@pytest.mark.parametrize("colour", ["RGB", "BGR"])
def test_a_camera_may_reuse_its_buffer(inspector, options, colour):
    given = [np.full((256, 256, 3), 40 * i, np.uint8) + np.uint8([0, 9, 20]) for i in range(5)]

    def camera():
        buffer = np.empty_like(given[0])
        for frame in given:
            buffer[:] = frame
            yield buffer

    expected = [one.raw_score for one in inspector.inspect_frames(given, colour=colour)]
    found = inspector.inspect_frames(camera(), colour=colour, **options)
    assert [one.raw_score for one in found] == pytest.approx(expected, abs=1e-5)
    assert len(set(expected)) == 5


def test_frames_before_one_that_is_none_are_inspected(inspector):
    given = [*frames(3), np.full((4, 4), 7, np.float32)]
    found = inspector.inspect_frames(given, colour="RGB", batch=2, ahead=3)
    assert [next(found).verdict for _ in range(3)]
    with pytest.raises(UsageError):
        next(found)


@pytest.mark.parametrize("options", [{}, {"batch": 2}, {"ahead": 3}, {"batch": 4, "ahead": 8}])
def test_a_camera_may_write_over_its_file(inspector, tmp_path, options):
    def camera():
        for frame in frames(5):
            write_png(tmp_path / "now.png", frame)
            yield tmp_path / "now.png"
        (tmp_path / "now.png").unlink()

    expected = [one.raw_score for one in inspector.inspect_frames(frames(5), colour="RGB")]
    found = inspector.inspect_frames(camera(), colour="RGB", **options)
    assert [one.raw_score for one in found] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("options", [{}, {"batch": 2}, {"ahead": 3}, {"batch": 4, "ahead": 8}])
def test_frames_before_a_camera_fails_are_inspected(inspector, options):
    def camera():
        yield from frames(3)
        raise OSError("unplugged")

    found = inspector.inspect_frames(camera(), colour="RGB", **options)
    assert [next(found).verdict for _ in range(3)]
    with pytest.raises(OSError, match="unplugged"):
        next(found)


@pytest.mark.parametrize(
    "one",
    [
        "a.png", Path("a.png"), b"png", np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.uint8),
        Image.new("RGB", (8, 8)), io.BytesIO(b"png"), None, 3,
    ],
)  # fmt: skip
def test_one_image_is_no_series_of_frames(inspector, one):
    with pytest.raises(UsageError, match="is not a series of frames"):
        next(inspector.inspect_frames(one, colour="RGB"))


def test_a_stack_is_a_series_of_frames(inspector):
    assert len(list(inspector.inspect_frames(np.zeros((2, 9, 8, 3), np.uint8), colour="RGB"))) == 2
    assert len(list(inspector.inspect_frames(np.zeros((2, 9, 8), np.uint8), colour="mono"))) == 2


class Faulty(Backend):
    """A graph that fails on dark images, as asked."""

    name = "faulty"

    def __init__(self, graph: Backend, error: Exception | None) -> None:
        self.graph, self.error = graph, error

    @property
    def size(self) -> tuple[int, int]:
        return self.graph.size

    def __call__(self, images: np.ndarray) -> Any:
        maps, scores = self.graph(images)
        dark = images.mean(axis=(1, 2, 3)) < 10
        if dark.any() and self.error is not None:
            raise self.error
        maps[dark] = np.nan
        return check_outputs([maps, scores], len(images), self.size)


FAILURES = [None, FlawmapError("it failed"), RuntimeError("out of\nmemory"), MemoryError()]


@pytest.fixture
def one_dark(tmp_path) -> list[Path]:
    paths = [tmp_path / f"{i}.png" for i in range(5)]
    for index, path in enumerate(paths):
        write_png(path, np.full((40, 40, 3), 0 if index == 2 else 90 + index, np.uint8))
    return paths


@pytest.mark.parametrize("batch", [1, 2, 5])
@pytest.mark.parametrize("error", FAILURES)
def test_one_image_that_the_graph_fails_on(inspector, one_dark, batch, error):
    faulty = Inspector(inspector.manifest, Faulty(inspector.backend, error))
    found = list(inspect_files(faulty, one_dark, batch))
    assert [record_of(one).path for one in found] == list(map(str, one_dark))
    assert [record_of(one).image for one in found] == list(map(digest, one_dark))
    assert [record_of(one).failed for one in found] == [i == 2 for i in range(5)]
    told = str(found[2].error)
    assert told.startswith(f"{one_dark[2]}: ")
    assert len(told.splitlines()) == 1
    expected = inspector.inspect(one_dark[3]).score
    assert found[3].score == pytest.approx(expected, abs=1e-5)


def test_a_failing_frame_raises(inspector, one_dark):
    faulty = Inspector(inspector.manifest, Faulty(inspector.backend, None))
    given = [read_image(path) for path in one_dark]
    found = faulty.inspect_frames(given, colour="RGB")
    assert [next(found).verdict for _ in range(2)]
    with pytest.raises(FlawmapError, match="not a finite number"):
        next(found)


def test_images_are_held_in_bounded_bytes(inspector, tmp_path, monkeypatch):
    """Of large ones one at a time, however many may be decoded ahead."""
    paths = [tmp_path / f"{i}.png" for i in range(6)]
    for path in paths:
        write_png(path, np.zeros((100, 100, 3), np.uint8))
    decoding: list[str] = []
    original = Framing.preprocess

    def preprocess(self: Framing, image: np.ndarray) -> Any:
        decoding.append("decoded")
        return original(self, image)

    monkeypatch.setattr(Framing, "preprocess", preprocess)
    ahead = {}
    for budget in (100 * 100 * 8, 100 * 100 * 7 * 3, 100 * 100 * 70):
        monkeypatch.setattr(module, "_BUDGET", budget)
        decoding.clear()
        found = inspect_files(inspector, paths, keep_images=True)
        next(found)
        time.sleep(0.1)
        ahead[budget] = len(decoding)
        assert len(list(found)) == 5
    assert list(ahead.values()) == [1, 3, 6]


@pytest.mark.parametrize(
    ("frame", "options", "told"),
    [
        (np.zeros((4, 4, 2), np.uint8), {"colour": "RGB"}, "channels last"),
        (np.full((4, 4, 3), 2, np.float32), {"colour": "BGR"}, r"lie outside 0\.\.1"),
        (np.zeros((4, 4, 3), np.uint8), {"colour": "GBR"}, "give RGB, BGR, RGBA, BGRA, mono"),
        (np.zeros((4, 4, 3), np.uint8), {"colour": "RGB", "batch": 0}, "batch must be 1 or more"),
        (np.zeros((4, 4, 3), np.uint8), {"colour": "RGB", "ahead": -1}, "ahead 0 or more"),
    ],
)
def test_frames_that_are_none(inspector, frame, options, told):
    with pytest.raises(UsageError, match=told):
        list(inspector.inspect_frames([frame], **options))
