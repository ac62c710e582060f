"""Result of every dataset layout: samples labelled by the folder they are in."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from flawmap.data.masks.annotations import AnnotatedImage
from flawmap.errors import FlawmapError
from flawmap.types import Label

_NUMBERS = re.compile(r"([0-9]+)")


class DatasetError(FlawmapError):
    """A folder does not hold the expected data; the message names it."""


@dataclass(frozen=True)
class Sample:
    """One image: its path and its label by folder.

    `defect_type` is the folder name for a defective image, None for a good one. `mask` is its
    ground-truth mask if there is one, a file or a folder of files, and `more_masks` are further
    files; a pixel is defective if any of them marks it. The label never depends on them.
    """

    path: Path
    label: Label
    defect_type: str | None = None
    mask: Path | AnnotatedImage | None = None
    more_masks: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Dataset:
    """The images below `root`: `train` holds good ones only, `test` both kinds.

    A layout without its own test split returns the good images in both; the caller must exclude
    training images from the test. `notes` are lines for the user about missing or unused data;
    `left_out` are those about images and other files that are left out.
    """

    root: Path
    layout: str
    title: str
    train: tuple[Sample, ...]
    test: tuple[Sample, ...]
    notes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

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
        """Number of test samples with a mask."""
        return sum(sample.mask is not None for sample in self.test)

    def describe(self) -> str:
        """Return one line for the user: the layout, and the number of images of each kind."""
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
    """Sort key: part2 before part10, upper case beside lower case, always in the same order.

    >>> sorted(["b10", "B9", "a"], key=natural_key)
    ['a', 'B9', 'b10']
    """
    pieces = _NUMBERS.split(name.casefold())
    return [int(piece) if i % 2 else piece for i, piece in enumerate(pieces)], name


def good_samples(paths: Iterable[Path]) -> tuple[Sample, ...]:
    """Return these images as good samples."""
    return tuple(Sample(path, "good") for path in paths)


def plural(count: int, thing: str) -> str:
    """Format a count and a noun; `thing` ends in "(s)" if it has a plural.

    >>> plural(2, "mask(s)")
    '2 masks'
    """
    return f"{count} {thing.replace('(s)', '' if count == 1 else 's')}"
