"""Metrics of single defects: connected regions of a mask, PRO, and IAP."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from flawmap.errors import UsageError
from flawmap.evaluation.metrics.counts import Floats, Steps, UInt32

EIGHT_CONNECTED = np.ones((3, 3), bool)
IAP_RECALL = 0.9
ROUNDING = 1e-9  # so that 1 - 1/10 counts as recall 0.9


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


def per_region_overlap(s: Steps) -> float:
    """Area under the curve of mean overlap against false positive rate up to a limit, / limit.

    The overlap at a threshold is the mean over all regions (8-connected, per image) of the share
    of the region's pixels at or above it; every region weighs the same, however small. The false
    positive rate is measured on the background pixels of all images pooled. The curve has a
    corner at every distinct score, straight lines between (a tie of region and background is a
    slope), and is cut exactly at `s.pro_limit` by interpolation.

    This is the curve of the anomalib 0.4 era, which DeSTSeg's code prints: one ROC per region, of
    background plus that region alone. There each was resampled to a common length and then
    averaged; here nothing is resampled, and the area of the mean curve is the mean of the areas.

    Returns 0..1. Source: Bergmann et al., IJCV 2021 (MVTec AD), section 4.2.
    """
    low = s.above_negative / s.negatives
    high = s.false / s.negatives
    area = s.region_shares @ _area_right_of(low, high, s.pro_limit)
    return float(area / (len(s.instances) * s.pro_limit))


def _area_right_of(low: Floats, high: Floats, limit: float) -> Floats:
    """Area up to `limit` under a ramp that rises from 0 at `low` to 1 at `high`, (K,)."""
    from_low = np.maximum(limit - low, 0.0)
    whole = limit - (low + high) / 2
    cut = from_low**2 / (2 * np.maximum(high - low, np.finfo(np.float64).tiny))
    return np.where(high <= limit, whole, cut)


def interpolated(precisions: ArrayLike) -> Floats:
    """Precisions made monotone: at each recall the best precision at that recall or higher.

    The input is ordered by rising threshold, so by falling recall: thresholds with at least the
    recall of the i-th are those before it, and the best so far is a running maximum.
    """
    return np.maximum.accumulate(np.asarray(precisions, np.float64))


def instance_average_precision(precisions: ArrayLike, k: float = IAP_RECALL) -> tuple[float, float]:
    """IAP and IAP@k from the pixel precisions (N,) at the N instance thresholds, ascending.

    An instance is an 8-connected region of one image's mask. It counts as detected at a threshold
    once more than half of its pixels reach it; the highest such threshold is its score at 0-based
    place floor(n / 2) of its n pixel scores sorted downwards. With the N of them in ascending
    order, the recall at the i-th (0-based) is 1 - i / N, and the precision there is measured on
    pixels, over the whole test set. Precisions are made monotone first (see `interpolated`).

    Returns (IAP, the mean of the N precisions; IAP@k, the precision at the smallest recall of at
    least k). `Metrics.instance_precision` is the input for any k. Raises UsageError for an empty
    or non-1-D input, or a k outside 0..1. Source: DeSTSeg (arXiv 2211.11317), section 4.1.

    >>> instance_average_precision([0.5, 0.4, 0.8, 1.0], k=0.75)
    (0.7, 0.5)
    """
    best = interpolated(precisions)
    if best.ndim != 1 or not best.size:
        raise UsageError(f"IAP needs a row of at least one precision, not shape {best.shape}.")
    return float(best.mean()), float(best[_index_at(k, best.size)])


def _index_at(k: float, instances: int) -> int:
    """The largest i < N with 1 - i / N >= k."""
    if not 0 <= k <= 1:
        raise UsageError(f"IAP@k needs a recall k in 0..1, not {k}.")
    return min(int(instances * (1 - k) + ROUNDING), instances - 1)


def iap(s: Steps) -> float:
    """IAP, 0..1; see `instance_average_precision`."""
    return instance_average_precision(s.precision[s.instances])[0]


def iap90(s: Steps) -> float:
    """IAP at recall 0.9, 0..1; see `instance_average_precision`."""
    return instance_average_precision(s.precision[s.instances])[1]
