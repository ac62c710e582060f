"""The connected regions of a ground-truth mask, and what PRO and IAP need of each."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from flawmap.evaluation.metrics.counting.keys import UInt32
from flawmap.evaluation.metrics.counting.tally import Floats

EIGHT_CONNECTED = np.ones((3, 3), bool)


class Regions(NamedTuple):
    """The m defect pixels of one image in r regions."""

    defect: UInt32  # (m,) keys of the defect pixels
    weights: Floats  # (m,) 1 / (pixels of the pixel's region); each region's sum to 1
    thresholds: UInt32  # (r,) the highest key that more than half of the region's pixels reach


def regions(keys: UInt32, mask: NDArray[np.bool_]) -> Regions:
    """Label a bool mask (H, W), 8-connected, and gather the keys (H, W) under it.

    >>> r = regions(np.array([[9, 5, 0, 7]], np.uint32), np.array([[1, 1, 0, 1]], bool))
    >>> r.weights.tolist(), r.thresholds.tolist()
    ([0.5, 0.5, 1.0], [5, 7])
    """
    box = _bounding_box(mask)
    inside = mask[box]
    labels, count = ndimage.label(inside, EIGHT_CONNECTED)
    defect = keys[box][inside]
    label = labels[inside].astype(np.intp) - 1
    sizes = np.bincount(label, minlength=count)
    return Regions(defect, 1.0 / sizes[label], _half_way(defect, label, sizes))


def _bounding_box(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    rows = np.flatnonzero(mask.any(axis=1))
    columns = np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return slice(0, 0), slice(0, 0)
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _half_way(defect: UInt32, label: NDArray[np.intp], sizes: NDArray[np.intp]) -> UInt32:
    """Each region's key at 0-based place floor(size / 2) of its keys sorted downwards."""
    order = np.lexsort((~defect, label))
    first = np.cumsum(sizes) - sizes
    thresholds: UInt32 = defect[order[first + sizes // 2]]
    return thresholds
