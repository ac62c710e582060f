"""Defective images to learn from: those of any layout, or of a folder with one folder a type."""

from __future__ import annotations

import os
from pathlib import Path

from flawmap.data.layouts.folder import NAME, TITLE
from flawmap.data.layouts.registry import open_dataset
from flawmap.data.layouts.shared.kinds import (
    hold_images,
    is_bad,
    is_good,
    is_masks,
    samples_below,
)
from flawmap.data.layouts.shared.masks import attach_masks
from flawmap.data.listing.images import Folder, as_paths, exists, is_folder
from flawmap.data.samples import Dataset, DatasetError, Sample

_MASKS = ("masks", "mask", "ground_truth", "groundtruth", "gt")


def open_defects(
    root: str | os.PathLike[str], layout: str = "auto"
) -> tuple[tuple[Sample, ...], tuple[str, ...]]:
    """List the defective images below ``root``, and notes for the user.

    ``root`` has any layout that can be evaluated, or holds a folder for each defect type, with
    masks in ``masks/TYPE``; images directly in it are defects without a type. Good images are
    ignored. Raises DatasetError if there are no defective images, UsageError for an unknown layout.
    """
    dataset = open_defective_dataset(root, layout)
    return dataset.defective_test, dataset.notes


def open_defective_dataset(root: str | os.PathLike[str], layout: str = "auto") -> Dataset:
    """Open the data set that :func:`open_defects` lists the defective images of."""
    (path,) = as_paths([root])
    if not is_folder(path):
        what = "a file; give the folder that holds" if exists(path) else "no such folder; check"
        raise DatasetError(f"{path}: {what} the defective images")
    if layout == "auto":
        place = Folder(path)
        found, notes = _by_type(place)
        left_out = tuple(place.left_out.lines())
        if found:
            return Dataset(path, NAME, TITLE, (), found, (*notes, *left_out), left_out)
        if not hold_images([place]):
            lines = "".join(f" {line}." for line in left_out)
            raise DatasetError(
                f"{path}: no images in it; give the folder that holds the defective images.{lines}"
            )
    dataset = open_dataset(path, layout, training=False)
    if not dataset.defective_test:
        raise DatasetError(
            f"{path} holds good images only: give a folder of defective ones, with a folder for "
            "each defect type and their masks in masks/TYPE."
        )
    return dataset


def _by_type(root: Folder) -> tuple[tuple[Sample, ...], tuple[str, ...]]:
    """Read a folder that has no good images: each other folder in it is a type."""
    if any(is_good(one) for one in (Folder(root.named), *root.folders)):
        return (), ()
    if _is_split(root) or any(below.child("train", "test") for below in root.folders):
        return (), ()  # a data set, or a folder of them
    masks = [one for one in root.folders if is_masks(one) or one.name.casefold() in _MASKS]
    kinds = [one for one in root.folders if one not in masks]
    samples = [
        sample
        for kind in kinds
        for sample in samples_below(
            kind,
            "defective",
            "defect" if is_bad(kind) else kind.name,
            [mask.child(kind.name.casefold()) for mask in masks],
        )
    ]
    samples += samples_below(root, "defective", "defect", deep=False)
    places: list[tuple[Path, str | None]] = []
    places += [(below.path, below.name) for mask in masks for below in mask.folders]
    places += [(mask.path, None) for mask in masks]
    return attach_masks(tuple(samples), places, root.path)


def _is_split(root: Folder) -> bool:
    """Whether the folder is a data set with folders of its own for training and test."""
    names = {one.name.casefold() for one in root.folders}
    return bool(names & {"train", "test", "defective"}) or any(is_bad(one) for one in root.folders)
