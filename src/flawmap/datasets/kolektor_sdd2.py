"""KolektorSDD2 (Božič et al., 2021): train/ and test/, each NNNNN.png with NNNNN_GT.png.

An image is defective where its ground truth marks anything. Training takes the good images of
train/ alone; its defective ones, which the supervised protocol trains on, are left out.
"""

from __future__ import annotations

from pathlib import Path

from flawmap.datasets.base import Dataset, Sample, child_folder, list_images, plural
from flawmap.masks import marks_anything

NAME, TITLE = "kolektor_sdd2", "KolektorSDD2 layout"
_TRUTH = "_gt"
_TYPE = "defect"


def recognises(root: Path) -> bool:
    """Whether `root` has train/ and test/ with pairs of image and ground truth."""
    return all(_pairs(root, split) for split in ("train", "test"))


def open_layout(root: Path) -> Dataset:
    """Read the layout below `root`; every ground truth is looked at."""
    train, test = (_samples(root, split) for split in ("train", "test"))
    good = tuple(sample for sample in train if sample.label == "good")
    left = len(train) - len(good)
    notes = (f"{plural(left, 'defective image(s)')} in train left out",) if left else ()
    return Dataset(root, NAME, TITLE, good, tuple(test), notes)


def _samples(root: Path, split: str) -> list[Sample]:
    return [
        Sample(image, "defective", _TYPE, truth) if marks_anything(truth) else Sample(image, "good")
        for image, truth in _pairs(root, split)
    ]


def _pairs(root: Path, split: str) -> list[tuple[Path, Path]]:
    folder = child_folder(root, split)
    files = {path.stem.casefold(): path for path in list_images(folder)} if folder else {}
    return [(path, files[stem + _TRUTH]) for stem, path in files.items() if stem + _TRUTH in files]
