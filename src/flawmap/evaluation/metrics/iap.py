"""Instance average precision: how clean the map is when most of each defect is found."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from flawmap.errors import UsageError
from flawmap.evaluation.metrics.counting.tally import Floats

ROUNDING = 1e-9  # so that 1 - 1/10 counts as recall 0.9


def interpolated(precisions: ArrayLike) -> Floats:
    """Precisions made monotone: at each recall the best precision at that recall or higher.

    The input is ordered by rising threshold, so by falling recall: thresholds with at least the
    recall of the i-th are those before it, and the best so far is a running maximum.
    """
    return np.maximum.accumulate(np.asarray(precisions, np.float64))


def instance_average_precision(precisions: ArrayLike, k: float = 0.9) -> tuple[float, float]:
    """IAP and IAP@k from the pixel precisions (N,) at the N instance thresholds, ascending.

    An instance is an 8-connected region of one image's mask. It counts as found at a threshold
    once more than half of its pixels reach it; the highest such threshold is its score at 0-based
    place floor(n / 2) of its n pixel scores sorted downwards. With the N of them in ascending
    order, the recall at the i-th (0-based) is 1 - i / N, and the precision there is measured on
    pixels, over the whole test set. Precisions are made monotone first (see `interpolated`).

    Returns (IAP, the mean of the N precisions; IAP@k, the precision at the smallest recall of at
    least k). `Figures.instance_precision` is the input for any k. Raises UsageError for an empty
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
