"""``flawmap evaluate``: the contract of its figures, and test sets with something amiss."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

import flawmap
from flawmap import FlawmapError
from flawmap.cli.console.evaluation import show_evaluation
from flawmap.data.image_io.images import read_image, write_png
from flawmap.data.masks.decoding import read_mask
from flawmap.inspection.bundle.manifest import read_manifest, write_manifest
from flawmap.utils.files import digest

FIGURES = (
    "image_auroc", "image_ap", "image_f1max", "pixel_auroc", "pixel_ap", "pixel_f1max",
    "pro", "iap", "iap90",
)  # fmt: skip
KEYS = {*FIGURES, "images", "instances", "seconds", "notes"}


@pytest.fixture
def data(tiny_data: Path, tmp_path: Path) -> Path:
    """The drawn product with three kinds of defect, in a folder of its own, to be spoiled."""
    left = shutil.ignore_patterns("missing", "contamination", "crack")
    return Path(shutil.copytree(tiny_data, tmp_path / "product", ignore=left))


def written(run: Path, data: Path, tmp_path: Path) -> dict[str, Any]:
    flawmap.evaluate(run, data, json_file=tmp_path / "out" / "metrics.json")
    text = (tmp_path / "out" / "metrics.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text, parse_constant=lambda name: pytest.fail(name))
    assert set(found) == KEYS
    return found


def test_figures_are_those_of_scikit_learn(run_copy: Path, data: Path, tmp_path: Path) -> None:
    found = written(run_copy, data, tmp_path)
    inspector = flawmap.Inspector.load(run_copy)
    scores, labels, maps, masks = [], [], [], []
    for path in sorted((data / "test").rglob("*.png")):
        seen = inspector.inspect(path)
        kind = path.parent.name
        mask = np.zeros((128, 128), np.uint8)
        if kind != "good":
            mask = read_mask(data / "ground_truth" / kind / f"{path.stem}_mask.png", (128, 128))
        scores.append(seen.score)
        labels.append(kind != "good")
        maps.append(seen.anomaly_map.ravel())
        masks.append(mask.ravel())
    pixels, truth = np.concatenate(maps), np.concatenate(masks)
    assert found["image_auroc"] == pytest.approx(roc_auc_score(labels, scores), abs=1e-9)
    assert found["image_ap"] == pytest.approx(average_precision_score(labels, scores), abs=1e-9)
    assert found["pixel_auroc"] == pytest.approx(roc_auc_score(truth, pixels), abs=1e-6)
    assert found["pixel_ap"] == pytest.approx(average_precision_score(truth, pixels), abs=1e-6)
    assert (found["images"], found["notes"]) == (6, {})
    assert found["instances"] >= 3
    assert all(0 <= found[name] <= 1 for name in FIGURES)


def test_metrics_are_remembered_in_the_manifest(run_copy: Path, data: Path, tmp_path: Path) -> None:
    before = read_manifest(run_copy)
    found = written(run_copy, data, tmp_path)
    after = read_manifest(run_copy)
    assert before.metrics is None
    assert after.metrics is not None
    milliseconds = after.metrics.pop("milliseconds")
    assert after.metrics == found | {"data": "product"}
    assert 0 < milliseconds < 1000 * found["seconds"]
    assert after.model_copy(update={"metrics": None}) == before


def test_without_defects(run_copy: Path, data: Path, tmp_path: Path) -> None:
    for kind in (data / "test").iterdir():
        if kind.name != "good":
            shutil.rmtree(kind)
    found = written(run_copy, data, tmp_path)
    for name in FIGURES:
        assert found[name] is None
        assert found["notes"][name].startswith("no defect")
    assert (found["images"], found["instances"]) == (3, 0)


def test_without_good_images(run_copy: Path, data: Path, tmp_path: Path) -> None:
    shutil.rmtree(data / "test" / "good")
    found = written(run_copy, data, tmp_path)
    for name in ("image_auroc", "image_ap", "image_f1max"):
        assert found[name] is None
        assert "no good image" in found["notes"][name]
    assert found["pixel_auroc"] is not None  # background there is, around the defects


def test_without_masks(run_copy: Path, data: Path, tmp_path: Path) -> None:
    shutil.rmtree(data / "ground_truth")
    found = written(run_copy, data, tmp_path)
    assert found["image_auroc"] is not None
    assert found["pixel_ap"] is None
    assert "3" in found["notes"]["without_mask"]


def test_nothing_to_test_on(run_copy: Path, data: Path) -> None:
    shutil.rmtree(data / "test")
    with pytest.raises(FlawmapError, match="add defective images"):
        flawmap.evaluate(run_copy, data)


@pytest.fixture
def plain(tiny_data: Path, tmp_path: Path) -> Path:
    """The images trained from as a plain folder, with one kind of defect."""
    folder = tmp_path / "plain"
    shutil.copytree(tiny_data / "train" / "good", folder / "good")
    shutil.copytree(tiny_data / "test" / "stain", folder / "defective")
    return folder


NO_RATE = (
    "no false-reject rate is given. Put good images that served neither training nor calibration "
    "into test/good"
)
ANOTHER = " of another folder, defective ones into test/defective"


def test_a_plain_folder_gives_no_rate_of_the_images_that_trained_or_calibrated(
    run_copy: Path, plain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Below the k-th largest of their own scores they lie by construction."""
    manifest = read_manifest(run_copy)
    trained, held = manifest.training.images, len(manifest.calibration.images)
    report = tmp_path / "report.html"
    found = flawmap.evaluate(run_copy, plain, report=report)
    good = [row for row in found.rows if row.label == "good"]
    assert len(good) == held > 0
    assert all(row.calibrated for row in good)
    assert not any(row.calibrated for row in found.rows if row.label == "defective")
    assert found.warnings[-2:] == (
        f"{trained} good images were trained on and are left out.",
        f"{held} good images set the thresholds: counted for the metrics, not for the rates of "
        f"verdicts; {NO_RATE}{ANOTHER}, or train with --folds.",
    )
    values = found.to_dict()
    assert values["images"] == held + 1
    assert values["image_auroc"] is not None
    assert values["notes"]["images"] == " ".join(found.warnings)
    assert values["notes"]["calibration_images"] == (
        f"image-level metrics include {held} images that set the thresholds; rates of verdicts "
        "leave them out"
    )
    show_evaluation(found)
    said = capsys.readouterr().out
    assert "no good images to judge" in said
    assert "1 defective: " in said
    page = report.read_text(encoding="utf-8")
    assert "no false-reject rate is given" in page
    assert "of the good parts were rejected" not in page
    assert f"Image-level metrics include {held} images that set the thresholds" in page
    assert page.count("set the thresholds: its verdict counts in no rate") >= 1


def test_good_images_not_used_images_are_judged_and_copies_of_seen_ones_are_not(
    run_copy: Path, plain: Path, tiny_data: Path, tmp_path: Path
) -> None:
    """By content, whatever the copies are called and wherever they lie."""
    manifest = read_manifest(run_copy)
    held, trained = manifest.calibration.images, manifest.training.trained_on
    by_digest = {digest(path): path for path in (tiny_data / "train" / "good").iterdir()}
    mixed = tmp_path / "mixed"
    shutil.copytree(tiny_data / "test", mixed / "test")
    shutil.copy(by_digest[held[0]], mixed / "test" / "good" / "a copy.png")
    shutil.copy(by_digest[trained[0]], mixed / "test" / "good" / "learned.png")
    report = tmp_path / "report.html"
    found = flawmap.evaluate(run_copy, mixed, report=report)
    good = {Path(row.path).name: row.calibrated for row in found.rows if row.label == "good"}
    assert good == {"000.png": False, "001.png": False, "002.png": False, "a copy.png": True}
    assert found.calibrated == 1
    assert found.warnings[-2:] == (
        "1 good image was trained on and is left out.",
        "1 good image set the thresholds: counted for the metrics, not for the rates of verdicts.",
    )
    page = report.read_text(encoding="utf-8")
    assert "of 3 passed" in page
    assert "Not counted: 1 good image that set the thresholds." in page


def test_after_calibrating_on_the_test_set_none_of_it_is_judged(
    run_copy: Path, tiny_data: Path
) -> None:
    flawmap.calibrate(run_copy, [tiny_data])
    found = flawmap.evaluate(run_copy, tiny_data)
    assert [row.calibrated for row in found.rows if row.label == "good"] == [True] * 3
    assert found.warnings[-1].endswith(f"{NO_RATE}, or train with --folds.")
    flawmap.calibrate(run_copy, [tiny_data / "train"])
    assert flawmap.evaluate(run_copy, tiny_data).calibrated == 0


def test_other_images_of_a_part_that_calibrates_are_not_judged(
    run_copy: Path, tiny_data: Path
) -> None:
    """Set aside at training with --group, they are as like it as the part itself."""
    manifest = read_manifest(run_copy)
    aside = (digest(tiny_data / "test" / "good" / "001.png"),)
    training = manifest.training.model_copy(update={"set_aside": aside})
    write_manifest(run_copy, manifest.model_copy(update={"training": training}))
    found = flawmap.evaluate(run_copy, tiny_data)
    assert [row.path for row in found.rows if row.calibrated] == ["test/good/001.png"]
    assert found.warnings == (
        "1 good image shows a part of which another shot calibrated, or was left out of the "
        "thresholds: counted for the metrics, not for the rates of verdicts.",
    )


def test_of_a_run_by_folds_no_good_image_is_left(run_copy: Path, plain: Path) -> None:
    """It learned from all of them; training with folds is no way out of that."""
    manifest = read_manifest(run_copy)
    every = tuple(digest(path) for path in sorted((plain / "good").iterdir()))
    training = manifest.training.model_copy(update={"trained_on": every})
    calibration = manifest.calibration.model_copy(update={"folds": 2})
    changes = {"training": training, "calibration": calibration}
    write_manifest(run_copy, manifest.model_copy(update=changes))
    found = flawmap.evaluate(run_copy, plain)
    assert {row.label for row in found.rows} == {"defective"}
    assert found.warnings[-1:] == (
        f"{len(every)} good images were trained on and are left out; {NO_RATE}{ANOTHER}.",
    )


def test_a_defective_image_that_trained_or_calibrated_is_named(
    run_copy: Path, data: Path, tiny_data: Path
) -> None:
    manifest = read_manifest(run_copy)
    by_digest = {digest(path): path for path in (tiny_data / "train" / "good").iterdir()}
    shutil.copy(next((data / "test" / "good").iterdir()), data / "test" / "stain" / "tested.png")
    places = [data / "test" / "stain" / name for name in ("learned.png", "held.png")]
    for place, sha256 in zip(
        places, (manifest.training.trained_on[0], manifest.calibration.images[0]), strict=True
    ):
        shutil.copy(by_digest[sha256], place)
    found = flawmap.evaluate(run_copy, data)
    marked = {Path(row.path).name for row in found.rows if row.calibrated}
    assert marked == {"held.png"}
    (said,) = (warning for warning in found.warnings if "same content" in warning)
    assert said.startswith("3 defective images with the same content as a good image")
    assert all(str(place) in said for place in places)
    assert "one of the two labels is wrong" in said


def test_unreadable_test_image_is_noted_and_left_out(
    run_copy: Path, data: Path, tmp_path: Path
) -> None:
    path = data / "test" / "good" / "001.png"
    path.write_bytes(path.read_bytes()[:300])
    report = tmp_path / "report.html"
    found = flawmap.evaluate(run_copy, data, report=report)
    assert found.metrics.images == 5
    assert [row.path for row in found.rows if row.error] == ["test/good/001.png"]
    assert any(
        "1 image left out, not inspected" in note and str(path) in note for note in found.warnings
    )
    assert "001.png" in report.read_text(encoding="utf-8")


def test_all_unreadable_is_an_error(run_copy: Path, data: Path, tmp_path: Path) -> None:
    for path in (data / "test").rglob("*.png"):
        path.write_bytes(b"not an image")
    with pytest.raises(FlawmapError, match="No test image could be inspected"):
        flawmap.evaluate(run_copy, data, json_file=tmp_path / "m.json", report=tmp_path / "r.html")
    assert not list(tmp_path.glob("*.json"))
    assert not list(tmp_path.glob("*.html"))


def test_mask_of_another_size_counts_for_image_figures_only(
    run_copy: Path, data: Path, tmp_path: Path
) -> None:
    whole = written(run_copy, data, tmp_path)
    bad = data / "ground_truth" / "stain" / "000_mask.png"
    write_png(bad, np.full((50, 96), 255, np.uint8))
    spoiled = flawmap.evaluate(run_copy, data, report=tmp_path / "report.html")
    assert any(str(bad) in note and "another size" in note for note in spoiled.warnings)
    found = spoiled.to_dict()
    assert found["notes"]["without_mask"].endswith("1")
    for name in ("image_auroc", "image_ap", "images"):
        assert found[name] == whole[name]
    # the pixel figures are those of a test set that never had the image
    shutil.rmtree(data / "test" / "stain")
    without = flawmap.evaluate(run_copy, data).to_dict()
    for name in ("pixel_auroc", "pixel_ap", "pro", "iap", "instances"):
        assert found[name] == without[name]


def test_report_is_one_file_that_tells_figures_and_guarantee(
    run_copy: Path, data: Path, tmp_path: Path
) -> None:
    path = tmp_path / "deep" / "er" / "report.html"
    flawmap.evaluate(run_copy, data, report=path)
    text = path.read_text(encoding="utf-8")
    assert text.lstrip().lower().startswith("<!doctype html>")
    assert "Of good parts like these" in text
    assert "destseg" in text
    assert not list(path.parent.glob(".*")), "no temporary file is left"


def test_names_that_are_hard_to_print(run_copy: Path, data: Path, tmp_path: Path) -> None:
    """Markup, an emoji's code, and bytes that are no text."""
    folder = data / "test" / "[bold]:warning:<b>"
    shutil.copytree(data / "test" / "good", folder)
    (folder / "000.png").rename(folder / "caf\udce9.png")
    found = flawmap.evaluate(
        run_copy, data, json_file=tmp_path / "m.json", report=tmp_path / "r.html"
    )
    assert found.metrics.images == 9
    assert "[bold]:warning:&lt;b&gt;" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_a_run_that_cannot_be_written_is_evaluated_all_the_same(
    run_copy: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise FlawmapError("read-only")

    monkeypatch.setattr("flawmap.evaluation.evaluate.save_manifest", refuse)
    found = flawmap.evaluate(run_copy, data)
    assert found.metrics.images == 6
    assert found.warnings[-1] == "The run does not keep these metrics. read-only"


def test_progress_counts_every_image(run_copy: Path, data: Path) -> None:
    counts: list[tuple[int, int]] = []
    flawmap.evaluate(run_copy, data, show=lambda done, total: counts.append((done, total)))
    assert counts == [(n, 6) for n in range(1, 7)]


def test_images_may_have_any_size(run_copy: Path, data: Path) -> None:
    path = data / "test" / "good" / "000.png"
    write_png(path, read_image(path)[:1, :1])
    assert flawmap.evaluate(run_copy, data).metrics.images == 6


@pytest.fixture
def left(run_copy: Path, data: Path) -> set[str]:
    """The image with a defect in the run's region of interest, the left half; others' lie right."""
    half = np.zeros((96, 96), np.uint8)
    half[:, :48] = 255
    write_png(data.parent / "left.png", half)
    kinds = sorted(kind.name for kind in (data / "ground_truth").iterdir())
    for kind in kinds:
        drawn = half if kind == kinds[0] else np.fliplr(half)
        write_png(data / "ground_truth" / kind / "000_mask.png", np.ascontiguousarray(drawn))
    flawmap.regions(run_copy, roi=data.parent / "left.png")
    return {f"test/{kinds[0]}/000.png"}


def test_defects_outside_the_region_are_neither_caught_nor_missed(
    run_copy: Path, data: Path, left: set[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "report.html"
    found = flawmap.evaluate(run_copy, data, report=report)
    defective = [row for row in found.rows if row.label == "defective"]
    assert {row.path for row in defective if not row.outside} == left
    assert not any(row.outside for row in found.rows if row.label == "good")
    assert found.metrics.notes["outside_region"].endswith(": 2")
    (warning,) = found.warnings
    assert "mark nothing within the region of interest: 2" in warning
    show_evaluation(found)
    assert "\n1 defective: " in capsys.readouterr().out
    page = report.read_text(encoding="utf-8")
    assert "Not counted: 2 defective images without a defect in the region of interest." in page
    assert "of 1 caught" in page
    assert page.count("no defect within the region of interest: its verdict") == 2


def test_without_a_defect_in_the_region_nothing_says_how_many_are_caught(
    run_copy: Path, data: Path, left: set[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in left:
        (data / path).unlink()
    report = tmp_path / "report.html"
    found = flawmap.evaluate(run_copy, data, report=report)
    show_evaluation(found)
    assert "no defective images to judge" in capsys.readouterr().out
    page = report.read_text(encoding="utf-8")
    assert "No defect in this data lies within the region of interest" in page
