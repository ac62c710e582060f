"""The good images of a run: loaded once, a fifth of them held out for the thresholds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flawmap.datasets import Dataset
from flawmap.datasets.load import LoadedImages, fingerprint, load_images
from flawmap.errors import FlawmapError, UsageError
from flawmap.rng import Stream, generator

HELD_OUT_SHARE = 0.2
HELD_OUT_LEAST = 5
LEAST_IMAGES = HELD_OUT_LEAST + 1
_SQUEEZED = 4 / 3  # shapes that differ by more are told of
_CELL = 128  # pixels; sides that every method's defaults work on


@dataclass(frozen=True)
class GoodImages:
    """Decoded good images, and which rows of them are for what."""

    loaded: LoadedImages
    train_rows: NDArray[np.int64]
    held_rows: NDArray[np.int64]

    def sample(self, count: int, seed: int) -> NDArray[np.uint8]:
        """Up to ``count`` of the images to train on, (n, h, w, 3), picked by seed."""
        order = generator(seed, Stream.ROTATION).permutation(len(self.train_rows))
        return self.loaded.array[np.sort(self.train_rows[order[:count]])]

    @property
    def held_out(self) -> Iterator[NDArray[np.uint8]]:
        """Images (h, w, 3) that training never sees, one by one."""
        return (self.loaded.array[row] for row in self.held_rows)

    @property
    def held_files(self) -> tuple[str, ...]:
        """SHA-256 of each file held out."""
        return tuple(self.loaded.sha256[i] for i in self.held_rows)

    @property
    def fingerprint(self) -> str:
        """One digest of all of them."""
        return fingerprint(self.loaded.sha256)

    @property
    def trained_on(self) -> tuple[str, ...]:
        """SHA-256 of each file trained on."""
        return tuple(self.loaded.sha256[i] for i in self.train_rows)

    def shape_hint(self, size: tuple[int, int]) -> str | None:
        """What to say where working at ``size`` changes the images' shape by more than a third."""
        height, width = np.median(np.array(self.loaded.sizes), axis=0)
        ratio = (height / width) / (size[0] / size[1])
        if max(ratio, 1.0 / ratio) <= _SQUEEZED:
            return None
        scale = min(size) / min(height, width)
        tall, wide = (max(1, round(scale * side / _CELL)) * _CELL for side in (height, width))
        return (
            f"The images are {height:.0f}x{width:.0f} (height x width) and worked on at "
            f"{size[0]}x{size[1]}: --size {tall}x{wide} would keep their shape."
        )

    def describe(self) -> str:
        """One line for a person."""
        skipped = len(self.loaded.skipped)
        line = f"{len(self.train_rows)} good images to learn from, "
        line += f"{len(self.held_rows) or 'none'} held out for the thresholds"
        return line + (f", {skipped} unreadable and skipped" if skipped else "")


@dataclass(frozen=True)
class Part:
    """Which of the good images are held out: a share, one of several folds, or none.

    ``fold`` counts from 0; None, where there are ``folds``, is the training on all.
    """

    folds: int = 0
    fold: int | None = None

    def describe(self) -> str:
        """As the settings of a run have it."""
        if self.folds == 0:
            return f"{HELD_OUT_SHARE:.0%}, at least {HELD_OUT_LEAST}"
        if self.fold is None:
            return f"none; {self.folds} twins calibrate"
        return f"fold {self.fold + 1} of {self.folds}"

    def split(self, count: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows to train on and rows held out, each in order.

        >>> [len(rows) for rows in Part().split(48, seed=0)]
        [38, 10]
        >>> [len(rows) for rows in Part(folds=5, fold=0).split(24, seed=0)]
        [19, 5]
        """
        order = generator(seed, Stream.SPLIT).permutation(count)
        if self.folds == 0:
            held = order[: max(HELD_OUT_LEAST, round(HELD_OUT_SHARE * count))]
        else:
            held = order[:0] if self.fold is None else order[self.fold :: self.folds]
        return np.setdiff1d(order, held), np.sort(held)


A_FIFTH = Part()


def load_good_images(
    dataset: Dataset, size: tuple[int, int], cache: Path, seed: int, part: Part = A_FIFTH
) -> GoodImages:
    """Load the good images of ``dataset`` at ``size`` and hold some out.

    ``cache``: folder for the array where it is too large for memory. Raises FlawmapError where
    fewer than 6 can be used, or fewer than two folds' worth.
    """
    _check_enough(len(dataset.good_train), dataset.root)
    loaded = load_images(dataset.good_train, size, cache_dir=cache)
    count = len(loaded.array)
    _check_enough(count, dataset.root)
    if part.folds > count:
        raise UsageError(f"{part.folds} folds of {count} images: give at most as many folds.")
    return GoodImages(loaded, *part.split(count, seed))


def _check_enough(count: int, root: Path) -> None:
    if count < LEAST_IMAGES:
        raise FlawmapError(
            f"{root} has {count} usable good images: at least {LEAST_IMAGES} are needed, "
            f"{HELD_OUT_LEAST} of which set the thresholds. Photograph more good parts."
        )
