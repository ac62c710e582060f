"""Error bounds of pixel-level metrics once score bits were dropped to bound memory.

Scores that share a key are then counted as tied, although they may differ. Each bound compares
the metric with the best and the worst order that the pixels inside the bins could have (and any
ties among them). Proven up to float64 rounding; all are 0 while no bit was dropped.
"""

from __future__ import annotations

import numpy as np

from flawmap.evaluation.metrics.counts import Steps
from flawmap.evaluation.metrics.instances import instance_average_precision
from flawmap.evaluation.metrics.ranking import average_precision, f1_max


def auroc_error(s: Steps) -> float:
    """Error of the AUROC: every tied pair was counted one half, its true count may be 0 or 1."""
    return float(s.at_positive @ s.at_negative / (2 * s.positives * s.negatives))


def average_precision_error(s: Steps) -> float:
    """Error of the AP. Best: the bin's positives first, tied; worst: its negatives first.

    With T, F counts above the bin and p, n in it, the worst sum of precisions in the bin (positives
    untied) is sum over j = 1..p of (T + j) / (T + j + F + n) = p - (F + n) * sum of
    1 / (T + F + n + j), and that last sum is at most log(1 + p / (T + F + n)).
    """
    best = s.at_positive * s.true / (s.true + s.above_negative)
    before = np.maximum(s.above_positive + s.false, 1.0)
    worst = s.at_positive - s.false * np.log1p(s.at_positive / before)
    value = average_precision(s)
    return max(float(best.sum()) / s.positives - value, value - float(worst.sum()) / s.positives)


def f1_max_error(s: Steps) -> float:
    """Error of the best F1, which can only be too low: its thresholds are among the exact ones."""
    best = 2 * s.true / (s.positives + s.true + s.above_negative)
    return float(np.max(best)) - f1_max(s)


def per_region_overlap_error(s: Steps) -> float:
    """Error of PRO: a defect pixel's corner is anywhere in its bin's false positive rates."""
    most = np.maximum(s.pro_limit - s.above_negative / s.negatives, 0.0)
    least = np.maximum(s.pro_limit - s.false / s.negatives, 0.0)
    return float(s.region_shares @ (most - least) / (len(s.instances) * s.pro_limit))


def iap_error(s: Steps) -> float:
    """Error of IAP."""
    return _instance_errors(s)[0]


def iap90_error(s: Steps) -> float:
    """Error of IAP at recall 0.9."""
    return _instance_errors(s)[1]


def _instance_errors(s: Steps) -> tuple[float, float]:
    best = (s.true / (s.true + s.above_negative))[s.instances]
    worst = ((s.above_positive + 1) / (s.above_positive + 1 + s.false))[s.instances]
    value = instance_average_precision(s.precision[s.instances])
    high, low = instance_average_precision(best), instance_average_precision(worst)
    return (
        max(high[0] - value[0], value[0] - low[0]),
        max(high[1] - value[1], value[1] - low[1]),
    )
