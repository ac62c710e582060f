"""A run on a 12-bit camera's images: one white level in training and in every verb after it."""

from __future__ import annotations

import io
import json
import shutil
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import flawmap
from data.image_io.tiffs import write_tiff
from flawmap import Inspector, UsageError
from flawmap.cli import main
from flawmap.data.image_io.images import read_image, write_png
from flawmap.data.image_io.notes import gathered
from flawmap.exporting.images import good_images
from flawmap.inspection.bundle.manifest import read_manifest

OPTIONS = "--rotate none --steps 2 --batch-size 2 --size 64x64 --seed 3"


def to_twelve(image: np.ndarray) -> np.ndarray:
    """The same image as a 12-bit camera gives it: its bytes come back exactly."""
    return np.rint(image * (4095 / 255)).astype(np.uint16)


@pytest.fixture(scope="module")
def twelve_data(tmp_path_factory: pytest.TempPathFactory, tiny_data: Path) -> Path:
    """``tiny_data`` by a 12-bit camera: TIFF in planes and not, of 16 bits a channel."""
    folder = tmp_path_factory.mktemp("twelve") / "data"
    shutil.copytree(tiny_data, folder)
    for index, path in enumerate(sorted(folder.rglob("*.png"))):
        if "ground_truth" not in path.parts:
            values = to_twelve(np.asarray(Image.open(path)))
            path.with_suffix(".tif").write_bytes(write_tiff(values, planar=index % 2 == 1))
            path.unlink()
    return folder


def said_by(*words: object) -> tuple[str, str]:
    """What the command line, in this process, prints on standard output and error."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["flawmap", *map(str, words)])
        with pytest.raises(SystemExit) as done:
            main()
    assert done.value.code == 0, err.getvalue()
    return out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def said_and_run(
    tmp_path_factory: pytest.TempPathFactory, twelve_data: Path, plain: str
) -> tuple[str, Path]:
    run = tmp_path_factory.mktemp("twelve-run") / "run"
    said = said_by("train", twelve_data, "--out", run, "--method", plain, *OPTIONS.split())
    return "".join(said), run


@pytest.fixture
def run(said_and_run: tuple[str, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(said_and_run[1], tmp_path / "run"))


@pytest.mark.slow
def test_training_says_what_was_found_once_and_keeps_it(said_and_run: tuple[str, Path]) -> None:
    said, run = said_and_run
    line = "read as 12 bits (black = 0, white = 4095); give --white-level 65535 if they are 16-bit."
    assert said.count(line) == said.count("16-bit images hold values up to ") == 1
    assert "almost black" not in said
    assert read_manifest(run).preprocessing.white_level == 4095


def test_every_way_to_inspect_reads_12_bits_as_8(
    run: Path, tiny_data: Path, twelve_data: Path, tmp_path: Path
) -> None:
    inspector = Inspector.load(run)
    deep, eight = twelve_data / "test/good/000.tif", tiny_data / "test/good/000.png"
    rgb = read_image(eight)
    frames = [deep, deep.read_bytes(), eight, rgb, to_twelve(rgb)]
    scores = [inspector.inspect(frame).score for frame in frames]
    bgr = to_twelve(rgb[..., ::-1])
    scores += [seen.score for seen in inspector.inspect_frames([bgr], colour="BGR")]
    for path in (deep, eight):
        (line,) = flawmap.predict(run, [path], out=tmp_path / path.suffix[1:])
        scores.append(line.score)
    scores += [line.score for line in flawmap.predict(run, [deep])]
    assert scores == scores[:1] * len(scores)
    overlays = [read_image(path) for path in sorted(tmp_path.glob("*/*_overlay.png"))]
    np.testing.assert_array_equal(overlays[0], overlays[1])
    rows = flawmap.evaluate(run, twelve_data, report=tmp_path / "report.html").rows
    assert scores[0] in [row.score for row in rows]


def test_calibration_and_export_read_as_training_did(run: Path, twelve_data: Path) -> None:
    manifest = read_manifest(run)
    inspector = Inspector.load(run)
    good = good_images(run, manifest)
    held = sorted(score for _, score in inspector.infer(good.padded(good.sample)))
    assert held == pytest.approx(sorted(manifest.calibration.scores), rel=1e-6)
    flawmap.calibrate(run, twelve_data / "test" / "good", add=False)
    new = read_manifest(run).calibration.scores
    assert sorted(new) == sorted(
        inspector.inspect(path).score for path in (twelve_data / "test" / "good").iterdir()
    )


def test_values_above_the_white_level_are_white_and_told(run: Path, tmp_path: Path) -> None:
    inspector = Inspector.load(run)
    above = np.full((70, 70), 5000, np.uint16)
    write_png(tmp_path / "above.png", above)
    said: list[str] = []
    with gathered(said.append):
        found = [inspector.inspect(frame).score for frame in (tmp_path / "above.png", above)]
    assert found == [inspector.inspect(np.full((70, 70), 255, np.uint8)).score] * 2
    assert said == [
        "2 images of 16 bits hold values above the white level 4095, up to 5,000: these count as "
        "white."
    ]


def test_a_run_on_8_bits_says_that_12_bits_come_dark(tiny_run: Path, twelve_data: Path) -> None:
    out, err = said_by("predict", tiny_run, twelve_data / "test" / "good", "--json", "-")
    assert [json.loads(line)["path"] for line in out.splitlines()]
    lines = [line for line in err.splitlines() if "12-bit cameras" in line]
    assert len(lines) == 1
    assert lines[0].startswith("3 images of 16 bits hold values up to ")


def test_no_white_level_is_refused_before_anything_is_written(
    tmp_path: Path, twelve_data: Path
) -> None:
    with pytest.raises(UsageError, match="The white level 0 is out of range"):
        flawmap.train(twelve_data, tmp_path / "other", white_level=0)
    assert not (tmp_path / "other").exists()
