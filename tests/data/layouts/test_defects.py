"""Folders of known defects: a folder a type, no type, or any layout that can be evaluated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from flawmap.data.image_io.images import write_png
from flawmap.data.layouts.defects import open_defects
from flawmap.data.samples import DatasetError
from flawmap.errors import UsageError


def image(path: Path, value: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([value, *path.as_posix().encode()])
    write_png(path, rng.integers(0, 256, (20, 20, 3), np.uint8))
    return path


def mask(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = np.zeros((20, 20), np.uint8)
    drawn[5:9, 5:9] = 255
    write_png(path, drawn)
    return path


def listed(root: Path) -> dict[str, tuple[str | None, str | None]]:
    """Type and mask of each image, by its path below the folder."""
    samples, _ = open_defects(root)
    assert {one.label for one in samples} == {"defective"}
    return {
        one.path.relative_to(root).as_posix(): (
            one.defect_type,
            None if one.mask is None else Path(str(one.mask)).relative_to(root).as_posix(),
        )
        for one in samples
    }


@pytest.mark.parametrize("masks", ["masks", "ground_truth", "Masks", "gt"])
def test_a_folder_a_type_with_masks_of_the_type(tmp_path: Path, masks: str):
    for kind in ("scratch", "dent"):
        image(tmp_path / kind / "1.png")
        mask(tmp_path / masks / kind / "1.png")
    image(tmp_path / "dent" / "2.png")
    assert listed(tmp_path) == {
        "scratch/1.png": ("scratch", f"{masks}/scratch/1.png"),
        "dent/1.png": ("dent", f"{masks}/dent/1.png"),
        "dent/2.png": ("dent", None),
    }


def test_images_in_the_folder_itself_have_no_type(tmp_path: Path):
    image(tmp_path / "1.png")
    mask(tmp_path / "masks" / "1.png")
    assert listed(tmp_path) == {"1.png": ("defect", "masks/1.png")}


def test_masks_beside_their_images(tmp_path: Path):
    image(tmp_path / "dent" / "1.png")
    mask(tmp_path / "dent" / "masks" / "1.png")
    assert listed(tmp_path) == {"dent/1.png": ("dent", "dent/masks/1.png")}


@pytest.mark.parametrize("name", ["good", "train/good", "test/good"])
def test_any_layout_that_can_be_evaluated(tmp_path: Path, name: str):
    for index in range(3):
        image(tmp_path / name / f"{index}.png")
    for good in ("train/good", "test/good") if "/" in name else ():
        image(tmp_path / good / "7.png")
    bad = "test/dent" if "/" in name else "defective/dent"
    image(tmp_path / bad / "1.png")
    truth = "ground_truth/dent/1_mask.png" if "/" in name else "masks/dent/1.png"
    mask(tmp_path / truth)
    (found,) = listed(tmp_path)
    assert found == f"{bad}/1.png"


def test_defective_alone_is_read_too(tmp_path: Path):
    image(tmp_path / "defective" / "dent" / "1.png")
    assert list(listed(tmp_path)) == ["defective/dent/1.png"]


def test_what_is_left_out_is_said(tmp_path: Path):
    image(tmp_path / "dent" / "1.png")
    image(tmp_path / "dent" / "2.png")
    mask(tmp_path / "masks" / "dent" / "1.png")
    mask(tmp_path / "masks" / "dent" / "9.png")
    (tmp_path / "dent" / "3.gif").write_bytes(b"GIF89a")
    _, notes = open_defects(tmp_path)
    said = " ".join(notes)
    assert "1 defective image without mask" in said
    assert "1 mask without defective image" in said
    assert "3.gif" in said


def test_wrong_folders_are_refused_with_the_way_out(tmp_path: Path):
    with pytest.raises(DatasetError, match="no such folder"):
        open_defects(tmp_path / "none")
    with pytest.raises(DatasetError, match="a file; give the folder"):
        open_defects(image(tmp_path / "file.png"))
    image(tmp_path / "parts" / "good" / "1.png")
    with pytest.raises(DatasetError, match="good images only"):
        open_defects(tmp_path / "parts")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError):
        open_defects(tmp_path / "empty")
    mask(tmp_path / "only" / "masks" / "dent" / "1.png")
    with pytest.raises(DatasetError):
        open_defects(tmp_path / "only")
    with pytest.raises(UsageError, match="unknown layout"):
        open_defects(tmp_path / "parts", "nothing")


def test_a_folder_of_data_sets_is_no_folder_of_types(tmp_path: Path):
    image(tmp_path / "screw" / "train" / "good" / "1.png")
    image(tmp_path / "screw" / "test" / "scratch" / "1.png")
    with pytest.raises(DatasetError, match=r"not a dataset but a folder of them.*screw"):
        open_defects(tmp_path)


def test_without_images_it_asks_for_defective_ones(tmp_path: Path):
    (tmp_path / "dent.heic").write_bytes(b"HEIC")
    with pytest.raises(DatasetError, match=r"no images in it; give the folder .* defective images"):
        open_defects(tmp_path)
