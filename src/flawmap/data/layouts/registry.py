"""Registry of known layouts, and recognition of a folder's layout."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path

from flawmap.data.known_layouts import LAYOUT_NAMES
from flawmap.data.layouts import folder
from flawmap.data.layouts.shared.kinds import is_bad, is_good, says_defective
from flawmap.data.layouts.unknown import categories, nothing_to_test, why_not
from flawmap.data.listing.images import Folder, as_paths, exists, is_folder
from flawmap.data.samples import Dataset, DatasetError, Sample, plural
from flawmap.errors import UsageError
from flawmap.utils.printable import printable


@dataclass(frozen=True)
class Layout:
    """A folder layout: how to recognise it, how to read it, and its description."""

    recognises: Callable[[Folder], bool]
    open: Callable[[Folder], Dataset]
    expected: str


_MOST_SEARCHED = 200  # folders at most


def _load(name: str) -> Layout:
    module = import_module(f"flawmap.data.layouts.{name}")
    return Layout(module.recognises, module.open_layout, module.EXPECTED)


LAYOUTS: dict[str, Layout] = {name: _load(name) for name in LAYOUT_NAMES}


def open_dataset(
    root: str | os.PathLike[str], layout: str = "auto", *, training: bool = True
) -> Dataset:
    """List the images below `root` by their names only; "auto" recognises the layout.

    Returns a dataset with at least one good image to train on or, if not for `training`, at least
    one image to test on.
    Raises `UsageError` for an unknown layout, `DatasetError` if the folder is missing or holds no
    good images.
    """
    place, dataset = _read(root, layout)
    if training and not dataset.train:
        raise _unknown(place, None if layout == "auto" else layout)
    if not training and not dataset.test:
        raise DatasetError(nothing_to_test(place))
    return dataset


def read_dataset(root: str | os.PathLike[str], layout: str = "auto") -> Dataset:
    """List the images below `root` as `open_dataset` does, of whichever labels there are."""
    return _read(root, layout)[1]


def _read(root: str | os.PathLike[str], layout: str) -> tuple[Folder, Dataset]:
    if layout != "auto" and layout not in LAYOUTS:
        names = ", ".join(["auto", *LAYOUTS])
        raise UsageError(f"unknown layout {layout}; choose one of {names}")
    place = Folder(_existing_folder(*as_paths([root])))
    name = layout if layout != "auto" else _recognise(place)
    dataset = LAYOUTS[name].open(place)
    left_out = dataset.left_out + place.left_out.lines()
    notes = dataset.notes + _named_defective(dataset.train) + left_out
    return place, replace(dataset, notes=notes, left_out=left_out)


def says_labels(path: Path) -> bool:
    """Whether the names in a folder label its images as good or defective."""
    root = Folder(path)
    if any(layout.recognises(root) for name, layout in LAYOUTS.items() if name != folder.NAME):
        return True
    places = (Folder(root.named), *root.first_below(_MOST_SEARCHED))
    return any(is_good(one) or is_bad(one) for one in places) or any(
        says_defective(image.stem) for image in root.images
    )


def _named_defective(train: Sequence[Sample]) -> tuple[str, ...]:
    """Return a note on good images whose names say defective, if the others' names do not."""
    suspects = [sample.path for sample in train if says_defective(sample.path.stem)]
    if not suspects or len(suspects) == len(train):
        return ()
    return (
        f"{plural(len(suspects), 'good image(s)')} named as if defective, such as "
        f"{printable(suspects[0])}: counted as good, as the folder says; "
        "move flawed ones out of it",
    )


def _recognise(root: Folder) -> str:
    for name, layout in LAYOUTS.items():
        if layout.recognises(root):
            return name
    raise _unknown(root)


def _unknown(root: Folder, layout: str | None = None) -> DatasetError:
    strict = [layout.recognises for name, layout in LAYOUTS.items() if name != folder.NAME]
    expected = None if layout is None else f"{layout}: {LAYOUTS[layout].expected}"
    return DatasetError(why_not(root, categories(root, strict), expected))


def _existing_folder(root: Path) -> Path:
    if is_folder(root):
        return root
    if exists(root):
        raise DatasetError(f"{root}: a file; give the folder that holds the images")
    raise DatasetError(f"{root}: no such folder; check its name")
