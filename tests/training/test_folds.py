"""Few images: all are scored by twins, and the inspector learns from all."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import flawmap
from flawmap.errors import FlawmapError, UsageError
from flawmap.inspection.conformal import Calibration
from flawmap.training import train as module
from flawmap.training.folds import calibrate_in_folds
from flawmap.training.good_images.split import Part
from flawmap.training.output_folder import FOLDS, WORK
from flawmap.training.steps.loop import Reporter
from flawmap.utils.files import digest


@pytest.fixture
def options(plain: str) -> dict[str, Any]:
    few = {"steps": 2, "batch_size": 2, "size": (64, 64)}
    return {"method": plain, "teacher": "pocket", "rotate": "slight", **few}


@pytest.mark.parametrize(("count", "folds"), [(24, 5), (7, 7), (10, 2)])
def test_every_image_is_held_out_once(count: int, folds: int) -> None:
    splits = [Part(folds, fold).split(np.arange(count), seed=3) for fold in range(folds)]
    assert sorted(np.concatenate([split.held for split in splits])) == list(range(count))
    for split in splits:
        assert sorted([*split.train, *split.held]) == list(range(count))
        assert abs(len(split.held) - count / folds) < 1
    split = Part(folds).split(np.arange(count), seed=3)
    assert (list(split.train), len(split.held)) == (list(range(count)), 0)


class Twin:
    def __init__(self, scores: list[float]) -> None:
        names = [str(score) for score in scores]
        calibration = Calibration.from_scores(scores, scores, images=names)
        self.manifest = type("Manifest", (), {"calibration": calibration})


def test_scores_of_all_twins_are_pooled(tmp_path):
    parts = []

    def train(place, part):
        parts.append((place.relative_to(tmp_path).as_posix(), part))
        return Twin([part.fold + 0.5, part.fold + 0.25])

    found = calibrate_in_folds(3, tmp_path, train, lambda text: None)
    assert parts == [(f"{FOLDS}/{k}", Part(3, k)) for k in range(3)]
    assert found.scores == (0.5, 0.25, 1.5, 1.25, 2.5, 2.25)
    assert found.images == tuple(map(str, found.scores))
    assert found.folds == 3
    assert "This is no guarantee" in found.statement()


@pytest.mark.slow
def test_a_run_in_folds(tiny_data, options, tmp_path):
    run = tmp_path / "run"
    said: list[str] = []
    reporter = Reporter(say=said.append)
    inspector = flawmap.train(tiny_data, run, folds=2, reporter=reporter, **options)
    files = {digest(path) for path in (tiny_data / "train" / "good").iterdir()}
    manifest = inspector.manifest
    assert set(manifest.training.trained_on) == set(manifest.calibration.images) == files
    assert (manifest.training.held_out, manifest.calibration.folds) == (0, 2)
    assert not (run / WORK).exists()
    assert "no guarantee" in said[-1]
    with pytest.raises(FlawmapError, match="--images"):
        flawmap.regions(run, ignore=next((tiny_data / "ground_truth").rglob("*.png")))
    again = flawmap.calibrate(run, false_reject=0.2).calibration
    assert again.folds == 2
    fresh = flawmap.calibrate(run, [tiny_data]).calibration
    assert (fresh.folds, len(fresh.scores)) == (0, 3)


@pytest.mark.parametrize(("folds", "told"), [(1, "2 or more"), (-1, "--folds -1: ")])
def test_folds_that_make_no_sense(tiny_data, tmp_path, folds, told):
    with pytest.raises(UsageError, match=told):
        flawmap.train(tiny_data, tmp_path / "run", folds=folds)


def test_more_folds_than_images(tiny_data, options, tmp_path):
    with pytest.raises(UsageError, match="give at most 10"):
        flawmap.train(tiny_data, tmp_path / "run", folds=11, **options)


@pytest.fixture
def stopped(
    tiny_data: Path, options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A run in folds that was stopped when the first model of two was complete."""
    run, trained = tmp_path / "run", module.train_one

    def stop_after_the_first(request, place, part, *rest):
        if part.fold != 0:
            raise KeyboardInterrupt
        return trained(request, place, part, *rest)

    monkeypatch.setattr(module, "train_one", stop_after_the_first)
    with pytest.raises(KeyboardInterrupt):
        flawmap.train(tiny_data, run, folds=2, **options)
    monkeypatch.setattr(module, "train_one", trained)
    assert (run / FOLDS / "0" / "manifest.json").is_file()
    return run


@pytest.mark.slow
def test_the_model_of_a_fold_is_resumed_with_its_settings_only(
    stopped: Path, tiny_data: Path, options: dict[str, Any], tmp_path: Path
):
    options = options | {"folds": 2}
    files = {p: p.stat().st_mtime_ns for p in (stopped / FOLDS / "0").iterdir()}
    with pytest.raises(UsageError, match="give --resume"):
        flawmap.train(tiny_data, stopped, **options)
    other = tmp_path / "other"
    shutil.copytree(tiny_data, other)
    (other / "train" / "good" / "000.png").unlink()
    for change, told in (
        ({"seed": 1}, "seed = 0, now it is 1"),
        ({"steps": 3}, "steps = 2, now it is 3"),
        ({"folds": 3}, "fold 1 of 2"),
        ({"folds": 0}, "--folds"),
        ({"data": other}, "other good images"),
        ({"group": "/(00)[01]"}, "another --group"),
    ):
        given = {"data": tiny_data} | options | change
        data = given.pop("data")
        with pytest.raises(UsageError, match="This run was started with") as caught:
            flawmap.train(data, stopped, resume=True, **given)
        assert told in str(caught.value)
    assert {p: p.stat().st_mtime_ns for p in (stopped / FOLDS / "0").iterdir()} == files
    done = flawmap.train(tiny_data, stopped, resume=True, **options)
    assert done.manifest.calibration.folds == 2
    assert len(done.manifest.calibration.scores) == 10
    assert not (stopped / WORK).exists()
