"""Split the good images into training images and those that set the thresholds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flawmap.utils.rng import Stream, generator

HELD_OUT_SHARE = 0.2
HELD_OUT_LEAST = 5
LEAST_PARTS = HELD_OUT_LEAST + 1


@dataclass(frozen=True)
class Split:
    """Indices of the images to train on, held out for the thresholds, and set aside.

    One image of each held-out group sets the thresholds, so that they come from different parts
    and their guarantee for the next part holds; the group's other images are set aside.
    """

    train: NDArray[np.int64]
    held: NDArray[np.int64]
    set_aside: NDArray[np.int64]


@dataclass(frozen=True)
class Part:
    """Which of the good images are held out: a share, one of several folds, or none.

    ``fold`` counts from 0; None together with ``folds`` means training on all images.
    """

    folds: int = 0
    fold: int | None = None

    def describe(self) -> str:
        """Describe the part as stored in a run's settings."""
        if self.folds == 0:
            return f"{HELD_OUT_SHARE:.0%}, at least {HELD_OUT_LEAST}"
        if self.fold is None:
            return f"none; {self.folds} twins calibrate"  # stored, so the wording stays
        return f"fold {self.fold + 1} of {self.folds}"

    def split(self, groups: NDArray[np.int64], seed: int) -> Split:
        """Divide images by their group numbers, which count from 0; each side is sorted.

        >>> split = Part().split(np.arange(48), seed=0)
        >>> len(split.train), len(split.held)
        (38, 10)
        >>> len(Part(folds=5, fold=0).split(np.arange(24), seed=0).held)
        5
        """
        count = len(np.unique(groups))
        order = generator(seed, Stream.SPLIT).permutation(count)
        if self.folds == 0:
            held_groups = order[: max(HELD_OUT_LEAST, round(HELD_OUT_SHARE * count))]
        else:
            held_groups = order[:0] if self.fold is None else order[self.fold :: self.folds]
        is_held = np.isin(groups, held_groups)
        held = _one_of_each(np.flatnonzero(is_held), groups, seed)
        return Split(np.flatnonzero(~is_held), held, np.setdiff1d(np.flatnonzero(is_held), held))


def _one_of_each(
    rows: NDArray[np.int64], groups: NDArray[np.int64], seed: int
) -> NDArray[np.int64]:
    """Pick one row of each group among ``rows``, by the seed."""
    shuffled = generator(seed, Stream.SPLIT, 1).permutation(rows)
    _, first = np.unique(groups[shuffled], return_index=True)
    return np.sort(shuffled[first])
