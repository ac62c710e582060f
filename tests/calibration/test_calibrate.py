"""Thresholds anew: from stored scores, from other images, beside those stored, with recall."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

import flawmap
from flawmap.calibration.images import locate
from flawmap.cli.console.info import show_info
from flawmap.data.image_io.images import read_image, write_png
from flawmap.errors import FlawmapError, UsageError
from flawmap.inspection.bundle.manifest import GRAPH, Export, read_manifest, write_manifest
from flawmap.inspection.conformal import Calibration
from flawmap.utils.files import digest


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


def test_more_images_than_the_manifest_holds_are_refused_before_scoring(
    run_copy, tiny_data, monkeypatch
):
    monkeypatch.setattr("flawmap.inspection.bundle.room.MOST_BYTES", 2**10)
    monkeypatch.setattr("flawmap.calibration.recalibrate.inspect_files", None)
    with pytest.raises(FlawmapError, match="too little for 3 more calibration images"):
        flawmap.calibrate(run_copy, good(tiny_data), add=True)


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
        f"{training.images} images left out: the inspector was trained on them.",
    )


def test_nothing_is_left_of_images_learned_from(run_copy, tiny_data):
    trained = read_manifest(run_copy).training.trained_on
    learned = [p for p in (tiny_data / "train" / "good").iterdir() if digest(p) in trained]
    before = (run_copy / "manifest.json").read_bytes()
    with pytest.raises(FlawmapError, match="were trained on"):
        flawmap.calibrate(run_copy, learned)
    assert (run_copy / "manifest.json").read_bytes() == before


def test_an_unreadable_image_is_left_out_and_named(run_copy, tiny_data, tmp_path):
    folder = tmp_path / "parts"
    shutil.copytree(tiny_data / "test" / "good", folder)
    (folder / "broken.png").write_bytes(b"no picture")
    found = flawmap.calibrate(run_copy, [folder])
    assert len(found.calibration.scores) == 3
    assert "broken.png" in found.warnings[0]


def test_what_cannot_be_hashed_is_left_out_and_named(run_copy, tiny_data, tmp_path):
    (tmp_path / "gone.png").symlink_to(tmp_path / "nothing")
    for path in sorted((tiny_data / "test" / "good").iterdir()):
        shutil.copy(path, tmp_path)
    found = flawmap.calibrate(run_copy, str(tmp_path), defects=str(tiny_data / "test" / "crack"))
    (warning,) = [line for line in found.warnings if "unreadable" in line]
    assert warning == f"1 image left out as unreadable, such as {tmp_path / 'gone.png'}."
    assert found.rejected is not None


def test_the_oddest_are_named(run_copy, tiny_data, tmp_path):
    folder = tmp_path / "parts"
    shutil.copytree(tiny_data / "test" / "good", folder)
    noise = np.random.default_rng(0).integers(0, 256, (96, 96, 3), np.uint8)
    write_png(folder / "odd.png", noise)
    found = flawmap.calibrate(run_copy, [folder])
    scores = [score for _, score in found.highest_scoring]
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
        ({"false_reject": 0.1, "review": 0.05}, "is below the false-reject rate"),
        ({"add": True}, "is nothing to add"),
    ],
)
def test_wrong_usage_changes_nothing(run_copy, wrong, message):
    before = (run_copy / "manifest.json").read_bytes()
    with pytest.raises(UsageError, match=message):
        flawmap.calibrate(run_copy, **wrong)
    assert (run_copy / "manifest.json").read_bytes() == before


def with_export(run: Path, calibration: Calibration) -> None:
    """An INT8 export that the first graph stands in for, with thresholds of its own."""
    file = "exports/onnx/model.int8.onnx"
    (run / file).parent.mkdir(parents=True)
    shutil.copy(run / GRAPH, run / file)
    manifest = read_manifest(run)
    export = Export(
        precision="int8",
        files={file: manifest.files[GRAPH]},
        calibration=calibration,
        images=2,
        map_max=0.0,
        map_mean=0.0,
        score_max=0.0,
        score_mean=0.0,
        p_value_mean=0.0,
        flips=0,
        within_limits=True,
    )
    write_manifest(run, manifest.model_copy(update={"exports": {"onnx-int8": export}}))


def export_of(run: Path) -> Calibration:
    found = read_manifest(run).exports["onnx-int8"].calibration
    assert found is not None
    return found


def test_an_export_with_thresholds_of_its_own_gets_new_ones_too(run_copy, tiny_data):
    stored = ([7.0, 8.0], [7.0, 8.0])
    with_export(run_copy, Calibration.from_scores(*stored, images=["a", "b"]))
    rates = {"false_reject": 0.4, "review": 0.5}
    flawmap.calibrate(run_copy, **rates)
    assert export_of(run_copy) == Calibration.from_scores(*stored, images=["a", "b"], **rates)
    flawmap.calibrate(run_copy, [good(tiny_data)[0]], add=True)
    score = flawmap.Inspector.load(run_copy).inspect(good(tiny_data)[0]).score
    assert export_of(run_copy).scores == pytest.approx([7.0, 8.0, score])
    found = flawmap.calibrate(run_copy, good(tiny_data)).calibration
    assert export_of(run_copy) == found


def test_an_image_is_never_added_twice_to_any_graph(run_copy, tiny_data):
    """The export was calibrated on the first test image, the run on those held out."""
    images = good(tiny_data)
    with_export(run_copy, Calibration.from_scores([7.0], [7.0], images=[digest(images[0])]))
    held = len(read_manifest(run_copy).calibration.images)
    flawmap.calibrate(run_copy, images, add=True)
    assert len(read_manifest(run_copy).calibration.images) == held + 3
    assert sorted(export_of(run_copy).images) == sorted(digest(path) for path in images)
    for calibration in (read_manifest(run_copy).calibration, export_of(run_copy)):
        assert len(set(calibration.images)) == len(calibration.scores)
    with pytest.raises(FlawmapError, match=r"No good image is left .*already set thresholds"):
        flawmap.calibrate(run_copy, images, add=True)


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="paths are Unicode here")
def test_a_folder_whose_name_is_not_utf_8(run_copy, tiny_data, tmp_path, capsys):
    """As archives of older systems unpack: its path is kept, and found again by an export."""
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    shutil.copytree(tiny_data / "test" / "good", folder)
    flawmap.calibrate(run_copy, folder, json_file=tmp_path / "found.json")
    manifest = read_manifest(run_copy)
    assert manifest.calibration.places == (str(folder),)
    assert locate(manifest).complete
    show_info(manifest)
    assert "caf" in "".join(capsys.readouterr().out.split())
    flawmap.evaluate(run_copy, folder, json_file=tmp_path / "measured.json")
    assert read_manifest(run_copy).metrics is not None


def test_scores_of_unknown_images_are_not_added_to(run_copy, tiny_data):
    with_export(run_copy, Calibration.from_scores([7.0], [7.0]))
    with pytest.raises(FlawmapError, match=r"calibrate onnx-int8 are not recorded.*export again"):
        flawmap.calibrate(run_copy, good(tiny_data), add=True)


def folded(run: Path) -> None:
    manifest = read_manifest(run)
    calibration = manifest.calibration.model_copy(update={"folds": 5})
    write_manifest(run, manifest.model_copy(update={"calibration": calibration}))


def test_nothing_is_added_to_scores_of_folds(run_copy, tiny_data):
    folded(run_copy)
    with pytest.raises(FlawmapError, match=r"come from folds.*Leave --add out: flawmap calibrate"):
        flawmap.calibrate(run_copy, good(tiny_data), add=True)
    found = flawmap.calibrate(run_copy, good(tiny_data)).calibration
    assert (found.folds, len(found.scores)) == (0, 3)
    assert "no guarantee" not in found.statement()


def test_where_the_images_lie_is_kept(run_copy, tiny_data, tmp_path):
    """A folder, and files by their folder; added ones beside; other rates change nothing."""
    first, *rest = good(tiny_data)
    folder = shutil.copytree(tiny_data / "test" / "good", tmp_path / "parts")
    flawmap.calibrate(run_copy, [folder])
    assert read_manifest(run_copy).calibration.places == (str(folder),)
    flawmap.calibrate(run_copy, rest)
    assert read_manifest(run_copy).calibration.places == (f"{first.parent}/*",)
    (tmp_path / "more").mkdir()
    write_png(tmp_path / "more" / "one.png", np.full((96, 96, 3), 100, np.uint8))
    flawmap.calibrate(run_copy, [tmp_path / "more"], add=True)
    flawmap.calibrate(run_copy, false_reject=0.2, review=0.3)
    places = read_manifest(run_copy).calibration.places
    assert places == (f"{first.parent}/*", str(tmp_path / "more"))


def test_one_that_stands_apart_is_named(run_copy, tiny_data, tmp_path):
    """Five parts alike, and one that is hardly a part any more."""
    rng = np.random.default_rng(3)
    base = read_image(good(tiny_data)[0]).astype(int)
    (tmp_path / "parts").mkdir()
    for index in range(6):
        image = np.clip(base + rng.integers(-1, 2, base.shape), 0, 255).astype(np.uint8)
        if index == 5:
            image[20:90, 20:90] = rng.integers(0, 256, (70, 70, 3))
        write_png(tmp_path / "parts" / f"{index}.png", image)
    found = flawmap.calibrate(run_copy, [tmp_path / "parts"])
    (said,) = found.warnings
    assert said.startswith("1 good image scored ")
    assert str(tmp_path / "parts" / "5.png") in said
    (tmp_path / "parts" / "5.png").unlink()
    assert flawmap.calibrate(run_copy, [tmp_path / "parts"]).warnings == ()


def test_folders_below_count_and_unreadable_images_are_told_in_a_line(
    run_copy, tiny_data, tmp_path
):
    for number, path in enumerate(good(tiny_data)):
        for root in ("more/cam1", "good", "good/cam2"):
            folder = tmp_path / root
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, folder / f"{root[-4:]}{number}.png")
    for name in ("a", "b"):
        (tmp_path / f"more/{name}.png").write_text(f"no image {name}")
    found = flawmap.calibrate(run_copy, tmp_path / "more")
    assert len(found.calibration.images) == len(good(tiny_data))
    left_out = [line for line in found.warnings if "left out" in line]
    assert len(left_out) == 1, left_out
    assert left_out[0].startswith("2 images left out, not inspected: ")
    flawmap.calibrate(run_copy, tmp_path / "good")
    with pytest.raises(FlawmapError, match=r"already set thresholds"):
        flawmap.calibrate(run_copy, tmp_path / "more" / "cam1", add=True)


def test_a_generator_is_read_once_and_an_empty_list_is_no_wish(run_copy, tiny_data):
    before = read_manifest(run_copy).calibration
    for empty in ([], (), "", iter(())):
        for key in ("images", "defects"):
            with pytest.raises(UsageError):
                flawmap.calibrate(run_copy, **{key: empty})
    with pytest.raises(UsageError):
        flawmap.calibrate(run_copy, np.zeros((4, 4, 3), np.uint8))
    assert read_manifest(run_copy).calibration == before
    found = flawmap.calibrate(run_copy, (path for path in good(tiny_data)))
    assert found.calibration.places == (str(good(tiny_data)[0].parent / "*"),)


def test_a_data_set_without_test_images_calibrates(run_copy, tiny_data, tmp_path):
    shutil.copytree(tiny_data / "test" / "good", tmp_path / "prod" / "train" / "good")
    found = flawmap.calibrate(run_copy, tmp_path / "prod")
    assert len(found.calibration.images) == len(good(tiny_data))


def test_a_data_set_without_good_images_is_refused(run_copy, tiny_data, tmp_path):
    shutil.copytree(tiny_data / "test" / "crack", tmp_path / "prod" / "test" / "crack")
    with pytest.raises(FlawmapError, match="no good images"):
        flawmap.calibrate(run_copy, tmp_path / "prod")
