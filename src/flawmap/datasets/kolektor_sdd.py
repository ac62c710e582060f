"""KolektorSDD (Tabernik et al., 2019): kosNN/PartN.jpg with kosNN/PartN_label.bmp.

An image is defective where its label marks anything. The set has no split of its own; here items
(``kosNN``) alternate between training and test, so that no item is in both. Items that share a
file, as kos01 and kos26 do pixel for pixel, count as one. Defective images of training items are
left out: they are never trained on, and the test has other items.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from flawmap.datasets.base import Dataset, Sample, list_folders, list_images, plural
from flawmap.files import digest
from flawmap.masks import marks_anything

NAME, TITLE = "kolektor_sdd", "KolektorSDD layout"
_ITEM = re.compile(r"kos\d+", re.IGNORECASE)
_LABEL = "_label"
_TYPE = "crack"


def recognises(root: Path) -> bool:
    """Whether `root` has folders kosNN, the first of which holds labelled images."""
    items = _items(root)
    return bool(items) and bool(_labelled(items[0]))


def open_layout(root: Path) -> Dataset:
    """Read the layout below `root`; every label is looked at."""
    groups = _together(_items(root))
    training, test = (
        [s for group in half for s in _samples(group)] for half in (groups[::2], groups[1::2])
    )
    train = [sample for sample in training if sample.label == "good"]
    notes = (
        f"split by item: {plural(len(groups[::2]), 'item(s)')} to train on, "
        f"{len(groups[1::2])} to test on; "
        f"{plural(len(training) - len(train), 'defective image(s)')} of the former left out",
    )
    return Dataset(root, NAME, TITLE, tuple(train), tuple(test), notes)


def _items(root: Path) -> list[Path]:
    return [folder for folder in list_folders(root) if _ITEM.fullmatch(folder.name)]


def _together(items: Sequence[Path]) -> list[list[Path]]:
    """Items in order, those that share an image with an earlier one beside it."""
    groups: list[list[Path]] = []
    group_of: dict[str, list[Path]] = {}
    for item in items:
        digests = [digest(p) for p, _ in _labelled(item)]
        found = next((group_of[digest] for digest in digests if digest in group_of), None)
        group = [] if found is None else found
        if found is None:
            groups.append(group)
        group.append(item)
        group_of.update(dict.fromkeys(digests, group))
    return groups


def _samples(group: Sequence[Path]) -> list[Sample]:
    return [
        Sample(image, "defective", _TYPE, label) if marks_anything(label) else Sample(image, "good")
        for item in group
        for image, label in _labelled(item)
    ]


def _labelled(item: Path) -> list[tuple[Path, Path]]:
    """The item's images that have a label, each with it."""
    files = {path.stem.casefold(): path for path in list_images(item)}
    return [(path, files[stem + _LABEL]) for stem, path in files.items() if stem + _LABEL in files]
