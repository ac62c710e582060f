"""Per-region overlap (PRO), integrated over low false positive rates."""

from __future__ import annotations

import numpy as np

from flawmap.evaluation.metrics.counting.steps import Steps
from flawmap.evaluation.metrics.counting.tally import Floats


def per_region_overlap(s: Steps, overlap: Floats, regions: int, limit: float = 0.3) -> float:
    """Area under the curve of mean overlap against false positive rate up to `limit`, / `limit`.

    The overlap at a threshold is the mean over all regions (8-connected, per image) of the share
    of the region's pixels at or above it; every region weighs the same, however small. The false
    positive rate is measured on the background pixels of all images pooled. The curve has a
    corner at every distinct score, straight lines between (a tie of region and background is a
    slope), and is cut exactly at the limit by interpolation.

    This is the curve of the anomalib 0.4 era, which DeSTSeg's code prints: one ROC a region, of
    background plus that region alone. There each was resampled to a common length and then
    averaged; here nothing is resampled, and the area of the mean curve is the mean of the areas.

    `overlap` (K,) is, at each step of `s`, the sum over the defect pixels with just that score of
    1 / (pixels of their region). Source: Bergmann et al., IJCV 2021 (MVTec AD), section 4.2.
    Returns 0..1.
    """
    low = s.above_negative / s.negatives
    high = s.false / s.negatives
    return float(overlap @ _area_right_of(low, high, limit) / (regions * limit))


def _area_right_of(low: Floats, high: Floats, limit: float) -> Floats:
    """Area up to `limit` under a ramp that rises from 0 at `low` to 1 at `high`, (K,)."""
    from_low = np.maximum(limit - low, 0.0)
    whole = limit - (low + high) / 2
    cut = from_low**2 / (2 * np.maximum(high - low, np.finfo(np.float64).tiny))
    return np.where(high <= limit, whole, cut)
