"""The known layouts, and which of them a folder has."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from flawmap.datasets import folder, kolektor_sdd, kolektor_sdd2, mvtec
from flawmap.datasets.base import Dataset, DatasetError, child_folder, list_folders, list_images
from flawmap.errors import UsageError


@dataclass(frozen=True)
class Layout:
    """A way images lie in folders: how to recognise it, and how to read it."""

    recognises: Callable[[Path], bool]
    open: Callable[[Path], Dataset]


# Asked in this order; the plain folder asks for least, so it comes last.
LAYOUTS: dict[str, Layout] = {
    kolektor_sdd.NAME: Layout(kolektor_sdd.recognises, kolektor_sdd.open_layout),
    kolektor_sdd2.NAME: Layout(kolektor_sdd2.recognises, kolektor_sdd2.open_layout),
    mvtec.NAME: Layout(mvtec.recognises, mvtec.open_layout),
    folder.NAME: Layout(folder.recognises, folder.open_layout),
}


def open_dataset(
    root: str | os.PathLike[str], layout: str = "auto", *, training: bool = True
) -> Dataset:
    """Find the images below `root`, reading names only; "auto" recognises the layout.

    Returns a dataset with at least one good image to train on, or where it is not for `training`
    at least one image to test on.
    Raises `UsageError` for an unknown layout, `DatasetError` where the folder is missing or holds
    no good images.
    """
    if layout != "auto" and layout not in LAYOUTS:
        names = ", ".join(["auto", *LAYOUTS])
        raise UsageError(f"{layout}: no such layout; choose one of {names}")
    root = _existing_folder(Path(root))
    name = layout if layout != "auto" else _recognise(root)
    dataset = LAYOUTS[name].open(root)
    if training and not dataset.train:
        raise DatasetError(_why_not(root))
    if not training and not dataset.test:
        raise DatasetError(_nothing_to_test(root))
    return dataset


def _recognise(root: Path) -> str:
    for name, layout in LAYOUTS.items():
        if layout.recognises(root):
            return name
    raise DatasetError(_why_not(root))


def _existing_folder(root: Path) -> Path:
    if root.is_dir():
        return root
    if root.exists():
        raise DatasetError(f"{root}: a file; give the folder that holds the images")
    raise DatasetError(f"{root}: no such folder; check its name")


def _why_not(root: Path) -> str:
    """What is wrong with a folder that has no good images, and how to mend it."""
    categories = mvtec.categories(root)
    if categories:
        return f"{root}: not a dataset but a folder of them; choose one: {_some(categories)}"
    filled = [sub for sub in list_folders(root) if _holds_images(sub)]
    mend = f"put images of good parts in {(child_folder(root, 'train') or root) / 'good'}"
    if filled or list_images(root):
        found = f" (found: {_some([sub.name for sub in filled])})" if filled else ""
        return f"{root}: no good images to learn from{found}; {mend}"
    return f"{root}: no images in it; {mend}"


def _nothing_to_test(root: Path) -> str:
    return (
        f"{root}: no images to test on; add defective images, in "
        f"{(child_folder(root, 'test') or root) / 'defective'}"
    )


def _holds_images(folder: Path) -> bool:
    return any(list_images(place) for place in (folder, *list_folders(folder)))


def _some(names: list[str] | tuple[Path, ...], most: int = 15) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(str(name) for name in names[:most]) + more
