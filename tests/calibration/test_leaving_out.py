"""Images whose scores stand apart are left out of the thresholds on demand, and recorded."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import flawmap
from flawmap.calibration.leaving_out import apart, without
from flawmap.data.layouts import open_dataset
from flawmap.errors import FlawmapError
from flawmap.evaluation.used_images import evaluation_images
from flawmap.inspection.bundle.manifest import read_manifest, write_manifest
from flawmap.inspection.conformal import Calibration
from flawmap.utils.files import digest

SCORES = [0.0052, 0.0054, 0.0587, 0.0052, 0.0056, 0.0052]


def test_thresholds_promise_and_record_without_the_image():
    before = Calibration.from_scores(
        SCORES, SCORES, false_reject=0.2, review=0.4, images=list("abcdef"), places=["p"]
    )
    assert apart(before) == ("c",)
    after = without(before, apart(before))
    assert after.images == ("a", "b", "d", "e", "f")
    assert (after.left_out, after.places) == (("c",), ("p",))
    assert after.reject.value == 0.0056
    assert (after.reject.asked, after.review.asked) == (0.2, 0.4)
    assert "1 outlier was left out of the good images: nothing is guaranteed" in after.statement()
    assert "left out" not in before.statement()
    assert without(after, ("c",)) is after


def test_images_that_nobody_knows_cannot_be_left_out():
    unknown = Calibration.from_scores(SCORES, SCORES)
    with pytest.raises(FlawmapError, match="does not record which images"):
        apart(unknown)
    assert apart(Calibration.from_scores(SCORES[:2], SCORES[:2])) == ()


@pytest.fixture
def odd_run(run_copy: Path, tiny_data: Path, tmp_path: Path) -> Path:
    """A run one of whose calibration images has a score that stands apart."""
    manifest = read_manifest(run_copy)
    images = (*manifest.calibration.images[:5], "f" * 64)
    odd = Calibration.from_scores(SCORES, SCORES, images=[images[i] for i in (1, 2, 0, 3, 4, 5)])
    write_manifest(run_copy, manifest.model_copy(update={"calibration": odd}))
    return run_copy


def test_calibrate_names_what_it_leaves_out_and_keeps_it_out(
    odd_run: Path, tiny_data: Path, tmp_path: Path
):
    sha256 = read_manifest(odd_run).calibration.images[2]
    (path,) = (one for one in open_dataset(tiny_data).good_train if digest(one) == sha256)
    found = flawmap.calibrate(odd_run, leave_out_outliers=True)
    assert any(str(path) in warning and "left out" in warning for warning in found.warnings)
    stored = read_manifest(odd_run)
    assert stored.calibration.left_out == (sha256,)
    assert sha256 not in stored.calibration.images
    again = flawmap.calibrate(odd_run, false_reject=0.3)
    assert again.calibration.left_out == (sha256,), "other rates are no other choice"
    assert "left out" in again.calibration.statement()
    added = flawmap.calibrate(odd_run, [path, *(tiny_data / "test" / "good").iterdir()], add=True)
    assert any("left out again" in warning for warning in added.warnings)
    assert sha256 not in added.calibration.images
    fresh = flawmap.calibrate(odd_run, [path, *(tiny_data / "test" / "good").iterdir()])
    assert sha256 in fresh.calibration.images, "named anew, it counts"
    assert fresh.calibration.left_out == ()


def test_no_score_that_stands_apart_is_said(run_copy: Path):
    before = read_manifest(run_copy).calibration
    scores = [0.5, 0.51, 0.52, 0.53, 0.54]
    even = Calibration.from_scores(scores, scores, images=before.images)
    write_manifest(run_copy, read_manifest(run_copy).model_copy(update={"calibration": even}))
    found = flawmap.calibrate(run_copy, leave_out_outliers=True)
    assert "No score is an outlier: nothing was left out." in found.warnings
    assert len(found.calibration.scores) == len(scores)


def test_what_was_left_out_or_set_aside_is_in_no_rate_of_verdicts(
    odd_run: Path, tiny_data: Path, tmp_path: Path
):
    data = tmp_path / "plain"
    shutil.copytree(tiny_data / "train", data)
    flawmap.calibrate(odd_run, leave_out_outliers=True)
    manifest = read_manifest(odd_run)
    shown = evaluation_images(open_dataset(data), manifest)
    assert {digest(path) for path in shown.calibrated} >= {*manifest.calibration.left_out}
    assert len(shown.calibrated) == len(shown.samples)
    *trained, aside = manifest.training.trained_on
    training = manifest.training.model_copy(
        update={"trained_on": tuple(trained), "set_aside": (aside,)}
    )
    grouped = manifest.model_copy(update={"training": training})
    shown = evaluation_images(open_dataset(data), grouped)
    assert aside in {digest(path) for path in shown.calibrated}
