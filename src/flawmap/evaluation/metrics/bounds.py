"""How far a pixel-level figure can be from the exact one once score bits were dropped.

Scores that share a key are then counted as tied, although they may differ. Each bound compares
the figure with the best and the worst order the pixels inside the bins could have (and any ties
among them). Proven up to float64 rounding; all are 0 while no bit was dropped.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from flawmap.evaluation.metrics.counting.steps import Steps
from flawmap.evaluation.metrics.counting.tally import Floats
from flawmap.evaluation.metrics.iap import instance_average_precision
from flawmap.evaluation.metrics.ranking import average_precision, f1_max


def auroc_error(s: Steps) -> float:
    """Every tied pair was given one half, and may deserve 0 or 1."""
    return float(s.at_positive @ s.at_negative / (2 * s.positives * s.negatives))


def average_precision_error(s: Steps) -> float:
    """Best: the bin's positives first, and tied; worst: its negatives first, positives untied.

    With T, F counts above the bin and p, n in it, the worst sum of precisions in the bin is
    sum over j = 1..p of (T + j) / (T + j + F + n) = p - (F + n) * sum of 1 / (T + F + n + j),
    and that last sum is at most log(1 + p / (T + F + n)).
    """
    best = s.at_positive * s.true / (s.true + s.above_negative)
    before = np.maximum(s.above_positive + s.false, 1.0)
    worst = s.at_positive - s.false * np.log1p(s.at_positive / before)
    figure = average_precision(s)
    return max(float(best.sum()) / s.positives - figure, figure - float(worst.sum()) / s.positives)


def f1_max_error(s: Steps) -> float:
    """The figure's thresholds are among the exact ones, so it can only be too low."""
    best = 2 * s.true / (s.positives + s.true + s.above_negative)
    return float(np.max(best)) - f1_max(s)


def per_region_overlap_error(s: Steps, overlap: Floats, regions: int, limit: float) -> float:
    """A defect pixel's corner lies anywhere in its bin's range of false positive rates."""
    most = np.maximum(limit - s.above_negative / s.negatives, 0.0)
    least = np.maximum(limit - s.false / s.negatives, 0.0)
    return float(overlap @ (most - least) / (regions * limit))


def instance_errors(s: Steps, at: NDArray[np.intp], k: float) -> tuple[float, float]:
    """Errors of IAP and IAP@k; `at` (N,) is each instance threshold's step, ascending by score."""
    best = (s.true / (s.true + s.above_negative))[at]
    worst = ((s.above_positive + 1) / (s.above_positive + 1 + s.false))[at]
    figure = instance_average_precision(s.precision[at], k)
    high, low = instance_average_precision(best, k), instance_average_precision(worst, k)
    return (
        max(high[0] - figure[0], figure[0] - low[0]),
        max(high[1] - figure[1], figure[1] - low[1]),
    )
