"""A sorted table of distinct keys and what was counted at each."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Tally(NamedTuple):
    """Distinct ascending keys (K,) and one or more columns of sums at each, (C, K) float64.

    Counts are exact up to 2**53.
    """

    keys: NDArray[Any]
    sums: Floats

    @classmethod
    def empty(cls, columns: int = 1) -> Tally:
        """No keys yet."""
        return cls(np.empty(0, np.uint32), np.empty((columns, 0)))

    @classmethod
    def of_keys(cls, keys: NDArray[Any]) -> Tally:
        """Count each distinct key of an unsorted (n,) array.

        >>> Tally.of_keys(np.array([7, 3, 7])).sums.tolist()
        [[1.0, 2.0]]
        """
        ordered = np.sort(keys)
        starts = _run_starts(ordered)
        return cls(ordered[starts], _lengths(starts, len(ordered))[None])

    @classmethod
    def of_weighted(cls, keys: NDArray[Any], weights: Floats) -> Tally:
        """Count each distinct key of (n,), and sum its (n,) weights in a second column."""
        order = np.argsort(keys, kind="stable")
        ordered = keys[order]
        starts = _run_starts(ordered)
        sums = [_lengths(starts, len(ordered)), _sum_runs(weights[order], starts)]
        return cls(ordered[starts], np.stack(sums))

    def plus(self, other: Tally) -> Tally:
        """Both tables added; neither is changed."""
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
        return Tally(keys, sums)

    def coarser(self, bits: int) -> Tally:
        """The low `bits` bits of the integer keys dropped, keys that become equal added up."""
        if not bits:
            return self
        keys = self.keys >> bits
        starts = _run_starts(keys)
        return Tally(keys[starts], _sum_runs(self.sums, starts))


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
