"""What a model that was trained anew takes over from the one in force."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from flawmap.calibration.calibrate import calibrate
from flawmap.calibration.regions import regions
from flawmap.data.image_io.images import write_png
from flawmap.errors import FlawmapError
from flawmap.inspection.bundle.manifest import read_manifest, write_manifest
from flawmap.inspection.defects import Filters
from flawmap.inspection.roi.mask import read_region
from flawmap.station.database.tables import Job, Model
from flawmap.station.improve import taking_over
from flawmap.station.improve.taking_over import notes_of


@pytest.fixture
def live(run_copy: Path) -> Path:
    """The run in force, with other rates and filters."""
    calibrate(run_copy, false_reject=0.2, review=0.4)
    regions(run_copy, min_area=7, merge_distance=3, min_peak=0.25, pixel_pitch=0.05)
    return run_copy


@pytest.fixture
def job(tmp_path: Path, tiny_run: Path, tiny_data: Path) -> Job:
    """A job that has just trained a run anew."""
    folder = tmp_path / "job"
    shutil.copytree(tiny_run, folder / "run")
    shutil.copytree(tiny_data / "train" / "good", folder / "data" / "good")
    return Job(folder=str(folder))


def take_over(job: Job, live: Path, fails: str | None = None) -> list[str]:
    """Take the settings of the run in force over; return what the job did for it."""
    said = []

    def run_process(_: Job, command: Sequence[str], doing: str) -> None:
        said.append(doing)
        if fails is not None:
            raise FlawmapError(fails)
        with subprocess.Popen(command, stdin=subprocess.PIPE) as process:  # it ends with the pipe
            assert process.wait() == 0

    taking_over.take_over(job, Model(id=3, folder=str(live)), run_process)
    return said


def draw_left_half(live: Path) -> None:
    """Restrict the run in force to the left half of the image."""
    mask = np.zeros((96, 96), np.uint8)
    mask[:, :48] = 255
    write_png(live.parent / "left.png", mask)
    regions(live, roi=live.parent / "left.png")


def test_rates_and_filters(job: Job, live: Path) -> None:
    run = Path(job.folder) / "run"
    before = read_manifest(run)
    assert take_over(job, live) == []
    after = read_manifest(run)
    limits = after.calibration
    assert (limits.reject.asked, limits.review.asked, limits.computed) == (0.2, 0.4, True)
    assert after.filters == Filters(min_area=7, merge_distance=3, pixel_pitch=0.05)
    assert (limits.scores, after.region) == (before.calibration.scores, None)
    taken, missed = notes_of(Path(job.folder))
    for said in ("model 3", "reject 20 %", "review 40 %", "area 7 px", "3 px", "0.05 mm"):
        assert said in taken
    assert "smallest peak 0.25" in missed


def test_a_region_calibrates_again(job: Job, live: Path) -> None:
    draw_left_half(live)
    run = Path(job.folder) / "run"
    before = read_manifest(run).calibration
    assert take_over(job, live) == ["Setting the region of interest"]
    after = read_manifest(run)
    assert after.region is not None
    height, width = after.preprocessing.size
    mask = read_region(run, after.region, after.preprocessing.size)
    assert mask[:, : width // 2 - 1].all()
    assert not mask[:, width // 2 + 1 :].any()
    assert (after.calibration.images, height) == (before.images, len(mask))
    assert after.calibration.scores != before.scores
    assert after.calibration.reject.asked == 0.2
    assert notes_of(Path(job.folder))[0].endswith("region of interest.")
    assert take_over(job, live) == []  # after a restart: it was done


def test_a_region_that_cannot_be_set(job: Job, live: Path) -> None:
    draw_left_half(live)
    take_over(job, live, fails="It failed: calibrated by folds.")
    notes = notes_of(Path(job.folder))
    assert "region" not in notes[0]
    assert "the whole image is inspected. It failed: calibrated by folds." in notes[-1]
    assert read_manifest(Path(job.folder) / "run").filters.min_area == 7


def test_thresholds_set_by_hand_stay_behind(job: Job, live: Path) -> None:
    manifest = read_manifest(live)
    limit = manifest.calibration.reject.model_copy(update={"value": 9.0})
    calibration = manifest.calibration.model_copy(update={"reject": limit})
    write_manifest(live, manifest.model_copy(update={"calibration": calibration}))
    take_over(job, live)
    assert read_manifest(Path(job.folder) / "run").calibration.computed
    assert "set by hand" in notes_of(Path(job.folder))[1]


def test_a_run_that_is_gone_gives_nothing(job: Job, tmp_path: Path) -> None:
    assert notes_of(Path(job.folder)) == ()
    before = read_manifest(Path(job.folder) / "run")
    take_over(job, tmp_path / "gone")
    (note,) = notes_of(Path(job.folder))
    assert "Nothing was taken over from model 3: No such run" in note
    assert read_manifest(Path(job.folder) / "run") == before
