"""Every pixel's score, counted apart for defect and background, in bounded memory."""

from __future__ import annotations

import numpy as np

from flawmap.evaluation.metrics.counting.keys import UInt32
from flawmap.evaluation.metrics.counting.tally import Floats, Tally

SLACK = 1 << 19  # pixels gathered beyond the cap before they are sorted in: fewer, larger merges
_NO_DEFECT = (np.empty(0, np.uint32), np.empty(0))


class PixelCounts:
    """Two tables of score keys: background pixels, and defect pixels with a weight each.

    Exact while the distinct scores of both fit in `max_keys`. Beyond that the lowest bit of every
    key is dropped, again and again until they fit; `dropped_bits` says how many went. That number
    depends on the pixels alone, not on their order or sharding. At the evaluator's default, with
    few defect pixels, that is 40 MB between updates and 120 MB while gathered pixels are sorted
    in, whatever the number of images.
    """

    def __init__(self, max_keys: int) -> None:
        self.max_keys = max_keys
        self.dropped_bits = 0
        self._background = Tally.empty()
        self._defect = Tally.empty(columns=2)
        self._new_background: list[UInt32] = []
        self._new_defect: list[tuple[UInt32, Floats]] = []
        self._gathered = 0

    def add(self, background: UInt32, defect: UInt32, weights: Floats) -> None:
        """Gather full-precision keys of background (n,) and defect pixels (m,), weights (m,)."""
        self._new_background.append(background)
        if len(defect):
            self._new_defect.append((defect, weights))
        self._gathered += len(background) + len(defect)
        if self._gathered > max(SLACK, self.max_keys + SLACK - self._distinct()):
            self._settle()

    def merge(self, other: PixelCounts) -> None:
        """Add another's pixels, gathered and tabled; the other keeps its own."""
        background, defect = other.tables()
        self._settle()
        self._add_tables(background, defect, other.dropped_bits)
        self._fit()

    def tables(self) -> tuple[Tally, Tally]:
        """Background and defect tables of all pixels so far; keys lack `dropped_bits` bits."""
        self._settle()
        return self._background, self._defect

    def _distinct(self) -> int:
        return len(self._background.keys) + len(self._defect.keys)

    def _settle(self) -> None:
        if not self._gathered:
            return
        self._add_tables(*self._take_gathered(), dropped_bits=0)
        self._fit()

    def _take_gathered(self) -> tuple[Tally, Tally]:
        background = np.concatenate(self._new_background)
        keys, weights = zip(_NO_DEFECT, *self._new_defect, strict=True)
        self._new_background, self._new_defect, self._gathered = [], [], 0
        defect = Tally.of_weighted(np.concatenate(keys), np.concatenate(weights))
        return Tally.of_keys(background), defect

    def _add_tables(self, background: Tally, defect: Tally, dropped_bits: int) -> None:
        self._drop(max(dropped_bits - self.dropped_bits, 0))
        missing = self.dropped_bits - dropped_bits
        self._background = self._background.plus(background.coarser(missing))
        self._defect = self._defect.plus(defect.coarser(missing))

    def _fit(self) -> None:
        while self._distinct() > self.max_keys:
            self._drop(1)

    def _drop(self, bits: int) -> None:
        self._background = self._background.coarser(bits)
        self._defect = self._defect.coarser(bits)
        self.dropped_bits += bits
