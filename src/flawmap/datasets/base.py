"""What every dataset layout gives: samples labelled by the folder they lie in."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from flawmap.errors import FlawmapError
from flawmap.images import is_image_name

Label = Literal["good", "defective"]
_NOT_DATA = {"__macosx", "thumbs.db"}


class DatasetError(FlawmapError):
    """A folder that does not hold what was looked for; the message names it."""


@dataclass(frozen=True)
class Sample:
    """One image: where it lies, and what its folder says of it.

    `defect_type` is the folder name for a defective image, None for a good one. `mask` is its
    ground truth where there is one; the label never depends on it.
    """

    path: Path
    label: Label
    defect_type: str | None = None
    mask: Path | None = None


@dataclass(frozen=True)
class Dataset:
    """The images below `root`: `train` holds good ones only, `test` both kinds.

    A layout without a test split of its own gives the good images in both; leaving out of the test
    what was trained on is up to the caller. `notes` are lines for a person about what was missing
    or left aside.
    """

    root: Path
    layout: str
    title: str
    train: tuple[Sample, ...]
    test: tuple[Sample, ...]
    notes: tuple[str, ...] = ()

    @property
    def good_train(self) -> tuple[Path, ...]:
        """The good images to train on."""
        return tuple(sample.path for sample in self.train)

    @property
    def good_test(self) -> tuple[Sample, ...]:
        """The good samples of the test split."""
        return tuple(sample for sample in self.test if sample.label == "good")

    @property
    def defective_test(self) -> tuple[Sample, ...]:
        """The defective samples of the test split."""
        return tuple(sample for sample in self.test if sample.label == "defective")

    @property
    def defect_types(self) -> tuple[str, ...]:
        """The names of the defect types, in natural order."""
        types = {sample.defect_type for sample in self.test if sample.defect_type is not None}
        return tuple(sorted(types, key=natural_key))

    @property
    def mask_count(self) -> int:
        """How many test samples have a mask."""
        return sum(sample.mask is not None for sample in self.test)

    def describe(self) -> str:
        """One line for a person: the layout, and how many images of each kind."""
        return f"{self.title}: {len(self.train)} good to train on; {self._describe_test()}"

    def _describe_test(self) -> str:
        good, defective, types = self.good_test, self.defective_test, len(self.defect_types)
        shared = {sample.path for sample in self.train} & {sample.path for sample in good}
        parts = [] if shared or not good else [f"{len(good)} good"]
        if defective:
            parts.append(
                f"{len(defective)} defective ({types} defect type{'s' * (types != 1)}) to test on, "
                f"{self.mask_count} mask{'s' * (self.mask_count != 1)}"
            )
        elif parts:
            parts[0] += " to test on"
        line = " and ".join(parts) or "no others to test on"
        return f"{line} (the good ones serve both)" if shared and defective else line


def natural_key(name: str) -> tuple[list[str | int], str]:
    """Sorts part2 before part10, capitals beside small letters, and always the same way.

    >>> sorted(["b10", "B9", "a"], key=natural_key)
    ['a', 'B9', 'b10']
    """
    pieces = re.split(r"([0-9]+)", name.casefold())
    return [int(piece) if i % 2 else piece for i, piece in enumerate(pieces)], name


def list_images(folder: Path) -> tuple[Path, ...]:
    """The images directly in `folder`, by name, in natural order; none where it is missing.

    A dangling link named like an image is listed, so that reading it can say so.
    """
    return tuple(p for p in _entries(folder) if is_image_name(p) and not p.is_dir())


def list_folders(folder: Path) -> tuple[Path, ...]:
    """The folders directly in `folder`, in natural order, without hidden ones."""
    return tuple(p for p in _entries(folder) if p.is_dir())


def child_folder(folder: Path, *names: str) -> Path | None:
    """The first folder in `folder` that has one of these names, in capitals or not."""
    found = {p.name.lower(): p for p in reversed(list_folders(folder))}
    return next((found[name] for name in names if name in found), None)


def good_samples(paths: Iterable[Path]) -> tuple[Sample, ...]:
    """These images as good samples."""
    return tuple(Sample(path, "good") for path in paths)


def plural(count: int, thing: str) -> str:
    """The count and the thing, `thing` ending in "(s)" where it varies.

    >>> plural(2, "mask(s)")
    '2 masks'
    """
    return f"{count} {thing.replace('(s)', '' if count == 1 else 's')}"


def _entries(folder: Path) -> list[Path]:
    """What lies in a folder, visible, in natural order. One level: a loop of links ends here."""
    if not folder.is_dir():
        return []
    try:
        found = [p for p in folder.iterdir() if not p.name.startswith(".")]
    except OSError as error:
        raise DatasetError(
            f"{folder}: cannot be listed ({error.strerror}); check its permissions"
        ) from error
    kept = (p for p in found if p.name.lower() not in _NOT_DATA)
    return sorted(kept, key=lambda p: natural_key(p.name))
