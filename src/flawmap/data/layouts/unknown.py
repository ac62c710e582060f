"""Error messages for a folder without good images: what it holds, and what was expected."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from flawmap.data.layouts.shared.kinds import good_folders, hold_images, some
from flawmap.data.listing.images import Folder
from flawmap.data.samples import plural

_USUAL = (
    "a plain folder: good/, defective/ and masks/; for MVTec AD's layout: train/good, test/TYPE "
    "and ground_truth/TYPE; docs/images.md lists others"
)
_MOST_SEARCHED = 200  # folders at most


def categories(root: Folder, recognise: Iterable[Callable[[Folder], bool]]) -> list[Path]:
    """Return the folders in ``root`` that are datasets, else those one level further down.

    A dataset has one of these layouts, or a folder of good parts.
    """
    recognise = [*recognise, lambda folder: hold_images(good_folders(folder))]

    def among(folders: Iterable[Folder]) -> list[Path]:
        return [folder.path for folder in folders if any(one(folder) for one in recognise)]

    below = (inner for folder in root.folders[:_MOST_SEARCHED] for inner in folder.folders)
    return among(root.folders) or among(below)


def why_not(root: Folder, categories: list[Path], expected: str | None = None) -> str:
    """Explain what is wrong with a folder that has no good images, and how to fix it.

    ``expected``: description of the layout asked for.
    """
    if categories:
        return f"{root.path}: not a dataset but a folder of them; choose one: {some(categories)}"
    advice = f"put images of good parts in {(root.child('train') or root).path / 'good'}"
    places = _folders_with_images(root)
    words = "".join(f"\n{line}." for line in root.left_out.lines())
    if not places:
        return f"{root.path}: no images in it; {advice}{words}"
    return (
        f"{root.path}: no good images to learn from (it holds: {some(places)}); {advice}\n"
        f"Expected for {expected or _USUAL}{words}"
    )


def nothing_to_test(root: Folder) -> str:
    """Explain what is wrong with a folder that has no images to test on."""
    return (
        f"{root.path}: no images to test on; add defective images, in "
        f"{(root.child('test') or root).path / 'defective'}"
    )


def _folders_with_images(root: Folder) -> list[str]:
    """Return the folders that hold images, at any depth, with counts."""
    places = [plural(len(root.files), "image(s)")] if root.files else []
    for folder in root.first_below(_MOST_SEARCHED):
        if folder.files:
            name = folder.path.relative_to(root.path).as_posix()
            places.append(f"{name} with {plural(len(folder.files), 'image(s)')}")
    return places
