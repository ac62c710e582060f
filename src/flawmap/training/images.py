"""The good images of a run: loaded once, a fifth of them held out for the thresholds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flawmap.datasets import Dataset
from flawmap.datasets.load import LoadedImages, fingerprint, load_images
from flawmap.datasets.tiles import load_tiles
from flawmap.errors import FlawmapError, UsageError
from flawmap.framing import Framing
from flawmap.images import read_image
from flawmap.rng import Stream, generator

HELD_OUT_SHARE = 0.2
HELD_OUT_LEAST = 5
LEAST_IMAGES = HELD_OUT_LEAST + 1
_SQUEEZED = 4 / 3  # shapes that differ by more are told of
_CELL = 128  # pixels; sides that every method's defaults work on


@dataclass(frozen=True)
class GoodImages:
    """Decoded good images, and which of them are for what: all windows of one are for the same."""

    loaded: LoadedImages
    framing: Framing
    train: NDArray[np.int64]
    held: NDArray[np.int64]

    @property
    def train_rows(self) -> NDArray[np.int64]:
        """Rows of the windows to train on."""
        return self.loaded.rows_of(self.train)

    def sample(self, count: int, seed: int) -> NDArray[np.uint8]:
        """Up to ``count`` of the windows to train on, (n, h, w, 3), picked by seed."""
        rows = self.train_rows
        order = generator(seed, Stream.ROTATION).permutation(len(rows))
        return self.loaded.array[np.sort(rows[order[:count]])]

    def parity_windows(self, count: int, seed: int) -> NDArray[np.uint8]:
        """Up to ``count`` windows (n, h, w, 3) held out, evenly spread; to train on if none are."""
        rows = self.loaded.rows_of(self.held)
        if not len(rows):
            return self.sample(count, seed)
        count = min(count, len(rows))
        return self.loaded.array[rows[np.arange(count) * len(rows) // count]]

    @property
    def held_out(self) -> Iterator[NDArray[np.uint8]]:
        """Photographs (H, W, 3) that training never sees, read one by one."""
        return (read_image(self.loaded.paths[index]) for index in self.held)

    @property
    def held_files(self) -> tuple[str, ...]:
        """SHA-256 of each file held out."""
        return tuple(self.loaded.sha256[i] for i in self.held)

    @property
    def fingerprint(self) -> str:
        """One digest of all of them."""
        return fingerprint(self.loaded.sha256)

    @property
    def trained_on(self) -> tuple[str, ...]:
        """SHA-256 of each file trained on."""
        return tuple(self.loaded.sha256[i] for i in self.train)

    def shape_hint(self) -> str | None:
        """What to say where squashing the images changes their shape by more than a third."""
        size = self.framing.size
        if self.framing.fit != "squash":
            return None
        height, width = np.median(np.array(self.loaded.sizes), axis=0)
        ratio = (height / width) / (size[0] / size[1])
        if max(ratio, 1.0 / ratio) <= _SQUEEZED:
            return None
        scale = min(size) / min(height, width)
        tall, wide = (max(1, round(scale * side / _CELL)) * _CELL for side in (height, width))
        return (
            f"The images are {height:.0f}x{width:.0f} (height x width) and worked on at "
            f"{size[0]}x{size[1]}: --size {tall}x{wide} or --fit letterbox would keep their shape"
            + (", --fit tiles every detail." if min(height, width) >= 2 * min(size) else ".")
        )

    def describe(self) -> str:
        """One line for a person."""
        skipped = len(self.loaded.skipped)
        line = f"{len(self.train)} good images to learn from, "
        line += f"{len(self.held) or 'none'} held out for the thresholds"
        if self.framing.tiled:
            line += f", in {len(self.train_rows)} tiles to learn from"
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
        """Images to train on and images held out, by number, each in order.

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
    dataset: Dataset, framing: Framing, cache: Path, seed: int, part: Part = A_FIFTH
) -> GoodImages:
    """Load the good images of ``dataset`` as windows and hold some out.

    ``cache``: folder for tiles, or for an array that is too large for memory. Raises FlawmapError
    where fewer than 6 can be used, or fewer than two folds' worth.
    """
    _check_enough(len(dataset.good_train), dataset.root)
    if framing.tiled:
        loaded = load_tiles(dataset.good_train, framing, cache)
    else:
        loaded = load_images(dataset.good_train, framing.size, fit=framing.fit, cache_dir=cache)
    count = len(loaded.paths)
    _check_enough(count, dataset.root)
    if part.folds > count:
        raise UsageError(f"{part.folds} folds of {count} images: give at most as many folds.")
    return GoodImages(loaded, framing, *part.split(count, seed))


def _check_enough(count: int, root: Path) -> None:
    if count < LEAST_IMAGES:
        raise FlawmapError(
            f"{root} has {count} usable good images: at least {LEAST_IMAGES} are needed, "
            f"{HELD_OUT_LEAST} of which set the thresholds. Photograph more good parts."
        )
