"""Histograms of positive and negative numbers, compact and mergeable, with relative bins.

Number 0 is in bin 0, and x in bin sign(x) (1 + floor(16 log2(|x| / 1e-9))), at most 32,767: within
a bin numbers differ by at most 4.4 %. As bytes, a histogram is a list of (bin, count) pairs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_PAIR = np.dtype([("bin", "<i2"), ("count", "<u4")])
_LEAST, _PER_OCTAVE = 1e-9, 16
_Floats = NDArray[np.float64]


def bins_of(values: _Floats) -> NDArray[np.int16]:
    """Return the bin of each value (n,)."""
    size = np.abs(values)
    with np.errstate(divide="ignore"):
        octaves = np.log2(np.maximum(size, _LEAST) / _LEAST)
    number = 1 + np.floor(_PER_OCTAVE * octaves)
    signed = np.where(size < _LEAST, 0.0, np.sign(values) * np.minimum(number, 32767))
    return signed.astype(np.int16)


def edge(numbers: NDArray[np.integer]) -> _Floats:
    """Return the end of each bin (n,) that is nearer to 0."""
    away = np.maximum(np.abs(numbers.astype(np.float64)) - 1.0, 0.0)
    return np.where(numbers == 0, 0.0, np.sign(numbers) * _LEAST * 2.0 ** (away / _PER_OCTAVE))


def pack(values: _Floats) -> bytes:
    """Return the histogram of values (n,)."""
    numbers, counts = np.unique(bins_of(values), return_counts=True)
    return _packed(numbers, counts)


def merge(histograms: Sequence[bytes]) -> bytes:
    """Return the histogram of all values behind several."""
    pairs = np.frombuffer(b"".join(histograms), _PAIR)
    numbers, place = np.unique(pairs["bin"], return_inverse=True)
    counts = np.bincount(place, pairs["count"], minlength=len(numbers))
    return _packed(numbers, counts)


def _packed(numbers: NDArray[np.int16], counts: NDArray[np.number]) -> bytes:
    pairs = np.empty(len(numbers), _PAIR)
    pairs["bin"], pairs["count"] = numbers, counts
    return pairs.tobytes()


def quantiles(histogram: bytes, shares: Sequence[float]) -> list[float] | None:
    """Return values below which these shares of all lie, exact to the width of a bin.

    None for a histogram of nothing.
    """
    pairs = np.frombuffer(histogram, _PAIR)
    if not len(pairs):
        return None
    pairs = pairs[np.argsort(pairs["bin"], kind="stable")]
    numbers = pairs["bin"].astype(np.int64)
    reached = np.cumsum(pairs["count"].astype(np.float64))
    low, high = _ends(numbers)
    found = []
    for share in shares:
        wanted = share * reached[-1]
        index = min(int(np.searchsorted(reached, wanted)), len(numbers) - 1)
        count = float(pairs["count"][index])
        within = (wanted - (reached[index] - count)) / count
        found.append(float(low[index] + within * (high[index] - low[index])))
    return found


def _ends(numbers: NDArray[np.int64]) -> tuple[_Floats, _Floats]:
    """Return the lower and upper end of each bin."""
    near = edge(numbers)
    far = edge(numbers + np.where(numbers < 0, -1, 1))
    ends = np.where(numbers == 0, 0.0, far)
    return np.minimum(near, ends), np.maximum(near, ends)
