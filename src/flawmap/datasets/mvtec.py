"""The MVTec AD layout: train/good, test/good, test/TYPE, ground_truth/TYPE/NAME_mask.png."""

from __future__ import annotations

from pathlib import Path

from flawmap.datasets.base import (
    Dataset,
    Sample,
    child_folder,
    good_samples,
    list_folders,
    list_images,
    plural,
)
from flawmap.datasets.masks import attach_masks

NAME, TITLE = "mvtec", "MVTec AD layout"


def recognises(root: Path) -> bool:
    """Whether `root` has a train folder of good images or a test folder of kinds."""
    test = child_folder(root, "test")
    return bool(_train_images(root)) or (test is not None and bool(list_folders(test)))


def open_layout(root: Path) -> Dataset:
    """Read the layout below `root`; `train` is empty where train/good holds no image."""
    test = child_folder(root, "test")
    kinds = list_folders(test) if test else ()
    good = [path for kind in kinds if _is_good(kind) for path in list_images(kind)]
    defective = [
        Sample(path, "defective", kind.name)
        for kind in kinds
        if not _is_good(kind)
        for path in list_images(kind)
    ]
    truth = child_folder(root, "ground_truth")
    folders = (
        [(kind, kind.name) for kind in list_folders(truth) if not _is_good(kind)] if truth else []
    )
    masked, notes = attach_masks(defective, folders)
    stray = list_images(test) if test else ()
    if stray:
        notes += (f"{plural(len(stray), 'image(s)')} directly in {test} without label, left out",)
    train = good_samples(_train_images(root))
    return Dataset(root, NAME, TITLE, train, good_samples(good) + masked, notes)


def categories(root: Path) -> tuple[Path, ...]:
    """The folders in `root` that are such a layout themselves."""
    return tuple(folder for folder in list_folders(root) if recognises(folder))


def _train_images(root: Path) -> tuple[Path, ...]:
    """Those in train/good, or directly in train where nothing is sorted."""
    train = child_folder(root, "train")
    if train is None:
        return ()
    good = child_folder(train, "good")
    return list_images(good or train)


def _is_good(folder: Path) -> bool:
    return folder.name.lower() == "good"
