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
from flawmap.images import read_image, write_png
from flawmap.inspector.manifest import read_manifest
from flawmap.masks import read_mask

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
        mask = np.zeros((256, 256), np.uint8)
        if kind != "good":
            mask = read_mask(data / "ground_truth" / kind / f"{path.stem}_mask.png", (256, 256))
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


def test_plain_folder_leaves_out_what_was_trained_on(
    run_copy: Path, tiny_data: Path, tmp_path: Path
) -> None:
    """Its good images serve both; an evaluation on those learned by heart flatters."""
    plain = tmp_path / "plain"
    shutil.copytree(tiny_data / "train" / "good", plain / "good")
    shutil.copytree(tiny_data / "test" / "stain", plain / "defective")
    shutil.copy(tiny_data / "train" / "good" / "000.png", plain / "good" / "copied.png")
    found = flawmap.evaluate(run_copy, plain)
    trained = read_manifest(run_copy).training.images
    copied_too = sum(row.path.endswith("copied.png") for row in found.rows)
    assert found.figures.images == 5 + 1 + copied_too
    assert any(
        f"{trained + 1 - copied_too} good images were trained on" in note for note in found.warnings
    )


def test_unreadable_test_image_is_noted_and_left_out(
    run_copy: Path, data: Path, tmp_path: Path
) -> None:
    path = data / "test" / "good" / "001.png"
    path.write_bytes(path.read_bytes()[:300])
    report = tmp_path / "report.html"
    found = flawmap.evaluate(run_copy, data, report=report)
    assert found.figures.images == 5
    assert [row.path for row in found.rows if row.error] == ["test/good/001.png"]
    assert any("could not be read" in note and str(path) in note for note in found.warnings)
    assert "001.png" in report.read_text(encoding="utf-8")


def test_all_unreadable_is_an_error(run_copy: Path, data: Path, tmp_path: Path) -> None:
    for path in (data / "test").rglob("*.png"):
        path.write_bytes(b"not an image")
    with pytest.raises(FlawmapError, match="No test image could be read"):
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
    assert found.figures.images == 9
    assert "[bold]:warning:&lt;b&gt;" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_a_run_that_cannot_be_written_is_evaluated_all_the_same(
    run_copy: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise FlawmapError("read-only")

    monkeypatch.setattr("flawmap.inspector.evaluate.save_manifest", refuse)
    assert flawmap.evaluate(run_copy, data).figures.images == 6


def test_progress_counts_every_image(run_copy: Path, data: Path) -> None:
    counts: list[tuple[int, int]] = []
    flawmap.evaluate(run_copy, data, show=lambda done, total: counts.append((done, total)))
    assert counts == [(n, 6) for n in range(1, 7)]


def test_images_may_have_any_size(run_copy: Path, data: Path) -> None:
    path = data / "test" / "good" / "000.png"
    write_png(path, read_image(path)[:1, :1])
    assert flawmap.evaluate(run_copy, data).figures.images == 6
