"""Thresholds anew: from stored scores, from other images, beside those stored, with recall."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import flawmap
from flawmap.calibration import Calibration
from flawmap.errors import FlawmapError, UsageError
from flawmap.files import digest
from flawmap.images import write_png
from flawmap.inspector.manifest import GRAPH, Export, read_manifest, write_manifest


def good(tiny_data: Path) -> list[Path]:
    return sorted((tiny_data / "test" / "good").glob("*.png"))


def test_rates_alone_read_the_stored_scores(run_copy, monkeypatch):
    before = read_manifest(run_copy).calibration
    monkeypatch.setattr(flawmap.Inspector, "inspect", None)
    found = flawmap.calibrate(run_copy, false_reject=0.3, review=0.5).calibration
    assert found == read_manifest(run_copy).calibration
    assert (found.scores, found.peaks, found.images) == (
        before.scores, before.peaks, before.images,
    )  # fmt: skip
    assert found == Calibration.from_scores(
        before.scores, before.peaks, false_reject=0.3, review=0.5, images=before.images
    )
    assert found.review.value < before.review.value


def test_a_rate_not_given_stays(run_copy):
    flawmap.calibrate(run_copy, false_reject=0.2, review=0.4)
    found = flawmap.calibrate(run_copy, review=0.3).calibration
    assert (found.reject.asked, found.review.asked) == (0.2, 0.3)


def test_other_images_take_the_place_of_those_stored(run_copy, tiny_data):
    images = good(tiny_data)
    found = flawmap.calibrate(run_copy, images).calibration
    inspector = flawmap.Inspector.load(run_copy)
    seen = [inspector.inspect(path) for path in images]
    assert found.scores == pytest.approx([one.score for one in seen])
    assert found.peaks == pytest.approx([float(one.anomaly_map.max()) for one in seen])
    assert found.images == tuple(digest(path) for path in images)
    assert inspector.manifest.calibration == found


def test_added_images_stand_beside_those_stored(run_copy, tiny_data):
    before = read_manifest(run_copy).calibration
    found = flawmap.calibrate(run_copy, [good(tiny_data)[0]], add=True)
    after = found.calibration
    assert after.scores[:-1] == before.scores
    assert len(after.scores) == len(after.images) == len(before.scores) + 1
    again = flawmap.calibrate(run_copy, good(tiny_data), add=True)
    assert len(again.calibration.scores) == len(before.scores) + 3
    assert again.warnings == ("1 image left out: the same as another.",)


def test_of_a_data_folder_the_good_images_it_did_not_learn_from(run_copy, tiny_data):
    found = flawmap.calibrate(run_copy, [tiny_data])
    training = read_manifest(run_copy).training
    assert len(found.calibration.scores) == training.held_out + 3
    assert found.warnings == (
        f"{training.images} images left out: the inspector learned from them.",
    )


def test_nothing_is_left_of_images_learned_from(run_copy, tiny_data):
    trained = read_manifest(run_copy).training.trained_on
    learned = [p for p in (tiny_data / "train" / "good").iterdir() if digest(p) in trained]
    before = (run_copy / "manifest.json").read_bytes()
    with pytest.raises(FlawmapError, match="did not learn from"):
        flawmap.calibrate(run_copy, learned)
    assert (run_copy / "manifest.json").read_bytes() == before


def test_an_unreadable_image_is_left_out_and_named(run_copy, tiny_data, tmp_path):
    folder = tmp_path / "parts"
    shutil.copytree(tiny_data / "test" / "good", folder)
    (folder / "broken.png").write_bytes(b"no picture")
    found = flawmap.calibrate(run_copy, [folder])
    assert len(found.calibration.scores) == 3
    assert "broken.png" in found.warnings[0]


def test_the_oddest_are_named(run_copy, tiny_data, tmp_path):
    folder = tmp_path / "parts"
    shutil.copytree(tiny_data / "test" / "good", folder)
    noise = np.random.default_rng(0).integers(0, 256, (96, 96, 3), np.uint8)
    write_png(folder / "odd.png", noise)
    found = flawmap.calibrate(run_copy, [folder])
    scores = [score for _, score in found.oddest]
    assert scores == sorted(found.calibration.scores, reverse=True)[:3]


def test_known_defects_tell_recall_and_change_nothing(run_copy, tiny_data, tmp_path):
    defective = [
        path
        for folder in sorted((tiny_data / "test").iterdir())
        if folder.name != "good"
        for path in sorted(folder.glob("*.png"))
    ]
    file = tmp_path / "found.json"
    without = flawmap.calibrate(run_copy, good(tiny_data)).calibration
    found = flawmap.calibrate(run_copy, good(tiny_data), defects=defective, json_file=file)
    assert found.calibration == without
    inspector = flawmap.Inspector.load(run_copy)
    verdicts = [inspector.inspect(path).verdict for path in defective]
    assert found.rejected is not None
    assert found.noticed is not None
    assert (found.rejected.caught, found.rejected.total) == (verdicts.count("reject"), 6)
    assert found.noticed.caught == 6 - verdicts.count("good")
    low, high = found.rejected.interval
    assert low <= found.rejected.caught / 6 <= high
    told = json.loads(file.read_text())
    assert told["recall"]["rejected"]["caught"] == found.rejected.caught
    assert told["reject"]["bound"] > told["reject"]["rate"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"false_reject": 0.0}, "between 0 and 1"),
        ({"false_reject": 0.1, "review": 0.05}, "counts those rejected as well"),
        ({"add": True}, "Nothing to add"),
    ],
)
def test_wrong_usage_changes_nothing(run_copy, wrong, message):
    before = (run_copy / "manifest.json").read_bytes()
    with pytest.raises(UsageError, match=message):
        flawmap.calibrate(run_copy, **wrong)
    assert (run_copy / "manifest.json").read_bytes() == before


def test_an_export_with_thresholds_of_its_own_gets_new_ones_too(run_copy, tiny_data):
    """The graph stands in for its INT8 form: what matters is whose thresholds are set."""
    file = "exports/onnx/model.int8.onnx"
    (run_copy / file).parent.mkdir(parents=True)
    shutil.copy(run_copy / GRAPH, run_copy / file)
    manifest = read_manifest(run_copy)
    export = Export(
        precision="int8",
        files={file: manifest.files[GRAPH]},
        calibration=Calibration.from_scores([7.0, 8.0], [7.0, 8.0]),
        images=2,
        map_max=0.0,
        map_mean=0.0,
        score_max=0.0,
        score_mean=0.0,
        p_value_mean=0.0,
        flips=0,
        within_limits=True,
    )
    write_manifest(run_copy, manifest.model_copy(update={"exports": {"onnx-int8": export}}))
    rates = {"false_reject": 0.4, "review": 0.5}
    flawmap.calibrate(run_copy, **rates)
    stored = read_manifest(run_copy).exports["onnx-int8"].calibration
    assert stored == Calibration.from_scores([7.0, 8.0], [7.0, 8.0], **rates)
    flawmap.calibrate(run_copy, [good(tiny_data)[0]], add=True)
    added = read_manifest(run_copy).exports["onnx-int8"].calibration
    assert added is not None
    score = flawmap.Inspector.load(run_copy).inspect(good(tiny_data)[0]).score
    assert added.scores == pytest.approx([7.0, 8.0, score])
    found = flawmap.calibrate(run_copy, good(tiny_data)).calibration
    assert read_manifest(run_copy).exports["onnx-int8"].calibration == found
