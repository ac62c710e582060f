"""Annotations of a data set, in every place where tools leave them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flawmap.data.image_io.images import write_png
from flawmap.data.layouts import Sample, open_dataset
from flawmap.data.masks.annotations import AnnotatedImage
from flawmap.data.masks.decoding import read_mask

IMAGE = np.zeros((12, 16, 3), np.uint8)
BOX = {"label": "crack", "points": [[4, 2], [8, 2], [8, 6], [4, 6]], "shape_type": "polygon"}
LABELME = {"shapes": [BOX], "imageHeight": 12, "imageWidth": 16}


def images(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        write_png(root / name, IMAGE)


def plain(root: Path) -> Path:
    images(root, "good/0.png", "defective/a.png", "defective/b.png")
    return root


def mvtec(root: Path) -> Path:
    images(root, "train/good/0.png", "test/good/0.png", "test/crack/0.png", "test/hole/0.png")
    return root


def put(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def coco(*names: str) -> dict[str, Any]:
    listed = [
        {"id": n, "file_name": name, "height": 12, "width": 16} for n, name in enumerate(names)
    ]
    flat = [side for corner in BOX["points"] for side in corner]  # type: ignore[attr-defined]
    annotations = [{"id": n, "image_id": n, "segmentation": [flat]} for n in range(len(names))]
    return {"images": listed, "annotations": annotations, "categories": []}


def via(*names: str) -> dict[str, Any]:
    region = {"shape_attributes": {"name": "rect", "x": 4, "y": 2, "width": 4, "height": 4}}
    return {name: {"filename": name, "regions": [region]} for name in names}


def marked(sample: Sample) -> int:
    assert isinstance(sample.mask, AnnotatedImage)
    return int(read_mask(sample.mask, None, image_size=(12, 16)).sum())


@pytest.mark.parametrize(
    "files",
    [
        {"defective/a.json": LABELME, "defective/b.json": LABELME},
        {"masks/a.json": LABELME, "masks/b.json": LABELME},
        {"masks/defective/a.json": LABELME, "masks/b_mask.json": LABELME},
        {"annotations/a.json": LABELME, "annotations/b.json": LABELME},
        {"annotations.json": coco("a.png", "b.png", "0.png")},
        {"defective/_annotations.coco.json": coco("a.png", "b.png")},
        {"annotations/instances_default.json": coco("defective/a.png", "defective/b.png")},
        {"masks/result.json": coco("C:\\images\\a.png", "/mnt/x/b.png")},
        {"a.json": coco("a.png"), "b.json": coco("b.png")},
        {"defective/via_region_data.json": via("a.png", "b.png")},
        {"via_project_12Mar2024.json": {"_via_img_metadata": via("a.png", "b.png")}},
        {"defective/a.json": LABELME, "via.json": via("b.png")},
    ],
    ids=" and ".join,
)
def test_a_plain_folder(tmp_path: Path, files: dict[str, Any]) -> None:
    for name, value in files.items():
        put(plain(tmp_path) / name, value)
    dataset = open_dataset(tmp_path)
    assert [marked(sample) for sample in dataset.defective_test] == [16, 16]
    assert not any("mask" in note for note in dataset.notes)


@pytest.mark.parametrize(
    "files",
    [
        {"test/crack/0.json": LABELME, "test/hole/0.json": LABELME},
        {"ground_truth/crack/0_mask.json": LABELME, "ground_truth/hole/0.json": LABELME},
        {"test/crack/annotations.json": coco("0.png"), "test/hole/coco.json": coco("0.png")},
        {"ground_truth/annotations.json": coco("crack/0.png", "hole/0.png", "good/0.png")},
        {"annotations.json": coco("test/crack/0.png", "test/hole/0.png")},
        {"test/via.json": via("crack/0.png", "hole/0.png")},
    ],
    ids=" and ".join,
)
def test_mvtec_with_names_that_are_shared(tmp_path: Path, files: dict[str, Any]) -> None:
    for name, value in files.items():
        put(mvtec(tmp_path) / name, value)
    assert [marked(sample) for sample in open_dataset(tmp_path).defective_test] == [16, 16]


def test_a_shared_name_without_its_folder_is_left_alone(tmp_path: Path) -> None:
    put(mvtec(tmp_path) / "annotations.json", coco("0.png"))
    put(tmp_path / "annotations/0.json", LABELME)
    dataset = open_dataset(tmp_path)
    assert [sample.mask for sample in dataset.defective_test] == [None, None]
    assert any("no masks" in note for note in dataset.notes)


def test_an_image_of_a_mask_goes_before_annotations(tmp_path: Path) -> None:
    put(plain(tmp_path) / "annotations.json", coco("a.png", "b.png"))
    images(tmp_path, "masks/a.png")
    first, second = open_dataset(tmp_path).defective_test
    assert first.mask == tmp_path / "masks" / "a.png"
    assert marked(second) == 16


def test_other_json_is_passed_over_and_damaged_json_told(tmp_path: Path) -> None:
    put(plain(tmp_path) / "defective/a.json", LABELME)
    put(tmp_path / "defective/b.json", {"exposure": 20})
    (tmp_path / "defective/camera.json").write_text("{")
    dataset = open_dataset(tmp_path)
    assert [sample.mask is None for sample in dataset.defective_test] == [False, True]
    notes = " | ".join(dataset.notes)
    assert "1 JSON file left out, such as" in notes
    assert "camera.json: not readable JSON" in notes
    assert "1 defective image without mask" in notes


@pytest.mark.parametrize(
    "name", ["defective/a.xml", "defective/b.txt", "annotations.xml", "coco.json"]
)
def test_annotations_that_nothing_is_read_from_are_told(tmp_path: Path, name: str) -> None:
    plain(tmp_path)
    put(tmp_path / name, coco("a_png.rf.0815.png"))
    dataset = open_dataset(tmp_path)
    assert dataset.mask_count == 0
    assert [Path(name).name in note for note in dataset.notes if "annotations" in note] == [True]


def test_what_is_used_or_no_annotation_is_not_told_of(tmp_path: Path) -> None:
    plain(tmp_path)
    put(tmp_path / "defective/a.png.json", LABELME)
    (tmp_path / "readme.txt").write_text("x")
    put(tmp_path / "coco.json", coco("b.png"))
    dataset = open_dataset(tmp_path)
    assert [marked(sample) for sample in dataset.defective_test] == [16, 16]
    assert dataset.notes == ()
