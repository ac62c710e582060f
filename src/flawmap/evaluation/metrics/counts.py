"""Count the scores of defect and background pixels, exactly, in bounded memory.

The bits of a non-negative IEEE 754 float, read as an unsigned integer, sort like the float;
those of a negative one sort backwards. Flipping the sign bit of the former and all bits of the
latter gives one ascending integer key per score. Dropping low bits of such a key makes a bin
whose width follows the float's own resolution, so bins stay narrow where maps peak (near 0 in
particular).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

UInt32 = NDArray[np.uint32]
Floats = NDArray[np.float64]

SIGN = np.uint32(1 << 31)
SLACK = 1 << 19  # pixels gathered beyond the cap before they are sorted in: fewer, larger merges
_NO_DEFECT = (np.empty(0, np.uint32), np.empty(0))


def to_keys(scores: NDArray[np.float32]) -> UInt32:
    """Order-preserving integer keys of finite float32 scores; -0.0 and 0.0 share one key.

    Any shape in, the same shape out.

    >>> to_keys(np.array([-1.0, -0.0, 0.0, 1.0], dtype=np.float32)).tolist()
    [1082130431, 2147483648, 2147483648, 3212836864]
    """
    bits: UInt32 = np.ascontiguousarray(scores + np.float32(0)).view(np.uint32)
    negative: UInt32 = (bits.view(np.int32) >> 31).view(np.uint32)  # all ones, or none
    keys: UInt32 = bits ^ (negative | SIGN)
    return keys


class KeyCounts(NamedTuple):
    """Distinct ascending keys (K,) and one or more columns of sums at each, (C, K) float64.

    Counts are exact up to 2**53.
    """

    keys: NDArray[Any]
    sums: Floats

    @classmethod
    def empty(cls, columns: int = 1) -> KeyCounts:
        """Table without keys."""
        return cls(np.empty(0, np.uint32), np.empty((columns, 0)))

    @classmethod
    def of_keys(cls, keys: NDArray[Any]) -> KeyCounts:
        """Count each distinct key of an unsorted (n,) array.

        >>> KeyCounts.of_keys(np.array([7, 3, 7])).sums.tolist()
        [[1.0, 2.0]]
        """
        ordered = np.sort(keys)
        starts = _run_starts(ordered)
        return cls(ordered[starts], _lengths(starts, len(ordered))[None])

    @classmethod
    def of_weighted(cls, keys: NDArray[Any], weights: Floats) -> KeyCounts:
        """Count each distinct key of (n,), and sum its (n,) weights in a second column."""
        order = np.argsort(keys, kind="stable")
        ordered = keys[order]
        starts = _run_starts(ordered)
        sums = [_lengths(starts, len(ordered)), _sum_runs(weights[order], starts)]
        return cls(ordered[starts], np.stack(sums))

    def plus(self, other: KeyCounts) -> KeyCounts:
        """Add two tables; neither is changed."""
        if not len(self.keys):
            return other
        at = np.searchsorted(self.keys, other.keys)
        is_new = self.keys[np.minimum(at, len(self.keys) - 1)] != other.keys
        place = at[is_new] + np.arange(np.count_nonzero(is_new))
        kept = np.ones(len(self.keys) + len(place), bool)
        kept[place] = False
        keys = np.empty(len(kept), self.keys.dtype)
        keys[kept], keys[place] = self.keys, other.keys[is_new]
        sums = np.zeros((len(self.sums), len(kept)))
        for row, mine in zip(sums, self.sums, strict=True):
            row[kept] = mine
        sums[:, np.searchsorted(keys, other.keys)] += other.sums
        return KeyCounts(keys, sums)

    def coarser(self, bits: int) -> KeyCounts:
        """Drop the low `bits` bits of the integer keys, and add up keys that become equal."""
        if not bits:
            return self
        keys = self.keys >> bits
        starts = _run_starts(keys)
        return KeyCounts(keys[starts], _sum_runs(self.sums, starts))


def _run_starts(ordered: NDArray[Any]) -> NDArray[np.intp]:
    is_start = np.ones(len(ordered), bool)
    np.not_equal(ordered[1:], ordered[:-1], out=is_start[1:])
    return np.flatnonzero(is_start)


def _lengths(starts: NDArray[np.intp], total: int) -> Floats:
    lengths = np.empty(len(starts))
    if len(starts):
        np.subtract(starts[1:], starts[:-1], out=lengths[:-1])
        lengths[-1] = total - starts[-1]
    return lengths


def _sum_runs(values: Floats, starts: NDArray[np.intp]) -> Floats:
    if not len(starts):
        return values[..., :0]
    sums: Floats = np.add.reduceat(values, starts, axis=-1)
    return sums


class PixelCounts:
    """Two tables of score keys: background pixels, and defect pixels with a weight each.

    Exact while the distinct scores of both fit in `max_keys`. Beyond that the lowest bit of every
    key is dropped, again and again until they fit; `dropped_bits` counts these bits. It depends on
    the pixels alone, not on their order or sharding. At the evaluator's default, with few defect
    pixels, the tables take 40 MB between updates and 120 MB while gathered pixels are sorted in,
    whatever the number of images.
    """

    def __init__(self, max_keys: int) -> None:
        self.max_keys = max_keys
        self.dropped_bits = 0
        self._background = KeyCounts.empty()
        self._defect = KeyCounts.empty(columns=2)
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
            self._sort_in()

    def merge(self, other: PixelCounts) -> None:
        """Add the pixels of another, which keeps its own."""
        background, defect = other.tables()
        self._sort_in()
        self._add_tables(background, defect, other.dropped_bits)
        self._fit()

    def tables(self) -> tuple[KeyCounts, KeyCounts]:
        """Background and defect tables of all pixels so far; keys lack `dropped_bits` bits."""
        self._sort_in()
        return self._background, self._defect

    def _distinct(self) -> int:
        return len(self._background.keys) + len(self._defect.keys)

    def _sort_in(self) -> None:
        if not self._gathered:
            return
        self._add_tables(*self._take_gathered(), dropped_bits=0)
        self._fit()

    def _take_gathered(self) -> tuple[KeyCounts, KeyCounts]:
        background = np.concatenate(self._new_background)
        keys, weights = zip(_NO_DEFECT, *self._new_defect, strict=True)
        self._new_background, self._new_defect, self._gathered = [], [], 0
        defect = KeyCounts.of_weighted(np.concatenate(keys), np.concatenate(weights))
        return KeyCounts.of_keys(background), defect

    def _add_tables(self, background: KeyCounts, defect: KeyCounts, dropped_bits: int) -> None:
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


@dataclass(frozen=True, eq=False)
class Steps:
    """The input of every metric: counts at each distinct score that a positive has.

    Positives are defective images at image level, defect pixels at pixel and instance level. The
    K scores run from the highest down, and thresholds between two of them change nothing but the
    false positives, so every ranking metric is decided at them. Positives and negatives that share
    a score are tied: no threshold separates them.
    """

    above_positive: Floats
    """(K,) positives with a strictly higher score."""
    at_positive: Floats
    """(K,) positives with this score, at least 1."""
    above_negative: Floats
    """(K,) negatives with a strictly higher score."""
    at_negative: Floats
    """(K,) negatives with this score."""
    positives: float
    negatives: float
    region_shares: Floats = field(default_factory=lambda: np.empty(0))
    """(K,) sum over the defect pixels with this score of 1 / (pixels of their region); (0,) at
    image level."""
    instances: NDArray[np.intp] = field(default_factory=lambda: np.empty(0, np.intp))
    """(N,) the step of each instance's threshold, by ascending score; (0,) at image level."""
    pro_limit: float = 0.3
    """False positive rate in (0, 1] up to which PRO integrates."""

    @property
    def true(self) -> Floats:
        """Positives at this score or higher, (K,)."""
        return self.above_positive + self.at_positive

    @property
    def false(self) -> Floats:
        """Negatives at this score or higher, (K,)."""
        return self.above_negative + self.at_negative

    @property
    def precision(self) -> Floats:
        """Share of positives among all at this score or higher, (K,) in (0, 1]."""
        return self.true / (self.true + self.false)


def steps(positive: KeyCounts, negative: KeyCounts) -> Steps:
    """Rank two tables of counts (first column) against each other.

    >>> s = steps(KeyCounts.of_keys(np.array([2, 3])), KeyCounts.of_keys(np.array([1, 2])))
    >>> s.above_negative.tolist(), s.at_negative.tolist()
    ([0.0, 0.0], [0.0, 1.0])
    """
    below = np.concatenate(([0.0], np.cumsum(negative.sums[0])))
    lower = below[np.searchsorted(negative.keys, positive.keys, "left")][::-1]
    not_higher = below[np.searchsorted(negative.keys, positive.keys, "right")][::-1]
    at_positive = positive.sums[0][::-1]
    true = np.cumsum(at_positive)
    return Steps(
        above_positive=true - at_positive,
        at_positive=at_positive,
        above_negative=below[-1] - not_higher,
        at_negative=not_higher - lower,
        positives=float(true[-1]) if len(true) else 0.0,
        negatives=float(below[-1]),
    )
