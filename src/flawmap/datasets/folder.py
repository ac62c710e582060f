"""A plain folder: good/, and where there are any, defective images and their masks.

Defective images lie in defective/, in defective/TYPE/, or in one folder TYPE beside good/. Masks
lie in masks/ under the name of their image, or NAME_mask, directly or in the same subfolder. Images
directly in a folder without subfolders are all good.
"""

from __future__ import annotations

from collections.abc import Iterator
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

NAME, TITLE = "folder", "plain folder"
_GOOD, _DEFECTIVE = "good", "defective"
_MASKS = ("masks", "mask", "ground_truth")


def recognises(root: Path) -> bool:
    """Whether `root` has good/, or nothing but images."""
    return bool(_good_images(root))


def open_layout(root: Path) -> Dataset:
    """Read the layout below `root`; `train` is empty where there are no good images.

    The good images are the train split, and part of the test split too.
    """
    good = good_samples(_good_images(root))
    defective, notes = attach_masks(tuple(_defective(root)), tuple(_mask_folders(root)))
    return Dataset(root, NAME, TITLE, good, good + defective, notes + tuple(_left_out(root)))


def _good_images(root: Path) -> tuple[Path, ...]:
    good = child_folder(root, _GOOD)
    if good is not None:
        return _with_subfolders(good)
    sorted_somehow = any(list_images(folder) for folder in list_folders(root))
    return () if sorted_somehow or child_folder(root, _DEFECTIVE) else list_images(root)


def _with_subfolders(folder: Path) -> tuple[Path, ...]:
    below = (path for sub in list_folders(folder) for path in list_images(sub))
    return (*list_images(folder), *below)


def _defective(root: Path) -> Iterator[Sample]:
    folder = child_folder(root, _DEFECTIVE)
    kinds = (folder, *list_folders(folder)) if folder else _siblings(root)
    for kind in kinds:
        name = _DEFECTIVE if kind == folder else kind.name
        yield from (Sample(path, "defective", name) for path in list_images(kind))


def _siblings(root: Path) -> tuple[Path, ...]:
    """The folders beside good/ that may hold a defect type."""
    if child_folder(root, _GOOD) is None:
        return ()
    known = (_GOOD, _DEFECTIVE, *_MASKS)
    return tuple(folder for folder in list_folders(root) if folder.name.lower() not in known)


def _mask_folders(root: Path) -> Iterator[tuple[Path, str | None]]:
    """masks/TYPE and masks/defective/TYPE first, then masks/defective and masks for any type."""
    top = child_folder(root, *_MASKS)
    if top is None:
        return
    inner = child_folder(top, _DEFECTIVE)
    flat = [inner, top] if inner else [top]
    for folder in flat:
        kinds = (
            kind for kind in list_folders(folder) if kind.name.lower() not in (_GOOD, _DEFECTIVE)
        )
        yield from ((kind, kind.name) for kind in kinds)
    if inner:
        yield inner, _DEFECTIVE
    yield from ((folder, None) for folder in flat)


def _left_out(root: Path) -> Iterator[str]:
    if child_folder(root, _GOOD) is None:
        return
    stray = list_images(root)
    if stray:
        yield f"{plural(len(stray), 'image(s)')} directly in {root} without label, left out"
    if child_folder(root, _DEFECTIVE):
        for folder in _siblings(root):
            if list_images(folder):
                yield f"{folder}: left out, as the defective images lie in {_DEFECTIVE}/"
