"""A defective part among the good ones is named, and left out where that is asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import flawmap
from flawmap.inspection.bundle.manifest import read_manifest
from flawmap.inspection.conformal import Calibration
from flawmap.training.choices.outliers import (
    describe_highest_scores,
    describe_left_out,
    warn_of_outliers,
)
from flawmap.training.steps.loop import Reporter

NAMES = {str(index): f"good/{index}.png" for index in range(30)}


def calibration(scores: list[float]) -> Calibration:
    return Calibration.from_scores(scores, scores, images=list(map(str, range(len(scores)))))


def test_the_highest_scores_are_named_with_their_scores():
    found = calibration([0.12, 0.31, 0.2, 0.25, 0.11, 0.3])
    assert describe_highest_scores(found, NAMES).endswith(
        "good images: good/1.png (0.31), good/5.png (0.3), good/3.png (0.25)"
    )
    assert warn_of_outliers(found, NAMES, Path("run")) is None


def test_an_outlier_is_named_with_what_to_do():
    found = calibration([0.0052, 0.0054, 0.0587, 0.0052, 0.0056, 0.0052])
    warning = warn_of_outliers(found, NAMES, Path("my/run"))
    assert warning is not None
    for piece in (
        "1 good image is an outlier, with a score of 0.0587 or more against 0.0056 or less",
        "good/2.png. Check it:",
        "flawmap calibrate my/run --leave-out-outliers",
    ):
        assert piece in warning


def test_equal_scores_are_reported():
    line = describe_highest_scores(calibration([0.5] * 6), NAMES)
    assert "All 6 held-out good images have the same score" in line


def test_nothing_left_out_is_said():
    assert "no image was left out" in describe_left_out((), NAMES)


def part(seed: int, defect: bool) -> np.ndarray:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:96, :128]
    image = np.full((96, 128, 3), (40, 80, 160), np.float32)
    image[((y - 48) / 34) ** 2 + ((x - 64) / 45) ** 2 < 1] = (200, 120, 40)
    image += rng.normal(0, 4, image.shape)
    if defect:
        top, left = 38 + rng.integers(0, 12), 51 + rng.integers(0, 12)
        image[top : top + 12, left : left + 12] = (20, 240, 20)
    return image.clip(0, 255).astype(np.uint8)


@pytest.mark.slow
@pytest.mark.long
def test_flawed_parts_among_the_good_ones_end_to_end(tmp_path: Path):
    good = tmp_path / "d" / "good"
    good.mkdir(parents=True)
    flawed = (7, 8, 9, 21)
    for index in range(30):
        Image.fromarray(part(index, index in flawed)).save(good / f"{index:02d}.png")
    said: list[str] = []
    run = tmp_path / "run"
    options = {"steps": 60, "batch_size": 4, "size": (128, 128)}
    flawmap.train(good.parent, run, reporter=Reporter(say=said.append), **options)
    held = read_manifest(run).training.held_out
    assert held == 6
    assert "1 good image is an outlier" in said[-1]
    assert "good/07.png" in said[-1]
    assert "3 of 24 training images are outliers" in said[-2]
    for index in (8, 9, 21):
        assert f"good/{index:02d}.png" in said[-2]
    defective = [part(1000 + index, defect=True) for index in range(4)]
    verdicts = [flawmap.Inspector.load(run).inspect(image).verdict for image in defective]
    assert verdicts.count("reject") < 4, "or the case has become too easy"
    found = flawmap.calibrate(run, leave_out_outliers=True)
    assert found.calibration.left_out
    assert any("good/07.png" in warning for warning in found.warnings)
    verdicts = [flawmap.Inspector.load(run).inspect(image).verdict for image in defective]
    assert verdicts == ["reject"] * 4
