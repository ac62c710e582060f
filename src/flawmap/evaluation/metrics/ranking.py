"""AUROC, average precision, best F1 and curves of one ranking, of images or of pixels.

All need at least one positive and one negative; where there is none the evaluator gives None. Ties
count as in scikit-learn.
"""

from __future__ import annotations

import numpy as np

from flawmap.evaluation.metrics.counts import Floats, Steps

MAX_POINTS = 500


def auroc(s: Steps) -> float:
    """Area under the ROC curve, 0..1: how often a positive outranks a negative, a tie half.

    Equals `sklearn.metrics.roc_auc_score`.
    """
    outranked = s.negatives - s.above_negative - s.at_negative / 2
    return float(s.at_positive @ outranked / (s.positives * s.negatives))


def average_precision(s: Steps) -> float:
    """Mean over positives of the precision at their score, 0..1; not interpolated, not binned.

    Equals `sklearn.metrics.average_precision_score`.
    """
    return float(s.at_positive @ s.precision / s.positives)


def f1_max(s: Steps) -> float:
    """The best F1 over all thresholds, 0..1.

    Equals the maximum over `sklearn.metrics.precision_recall_curve`.
    """
    return float(np.max(2 * s.true / (s.positives + s.true + s.false)))


def roc_curve(s: Steps) -> Floats:
    """(n, 2): false positive rate, true positive rate, ascending; n <= 500, ends at (1, 1).

    The two corners of a step are joined by a line where scores tie; elsewhere the curve is level.
    """
    x = np.stack([s.above_negative, s.false], axis=1).ravel() / s.negatives
    y = np.stack([s.above_positive, s.true], axis=1).ravel() / s.positives
    corners = np.stack([x, y], axis=1)
    return thin(np.concatenate([[[0.0, 0.0]], corners, [[1.0, 1.0]]]))


def precision_recall_curve(s: Steps) -> Floats:
    """(n, 2): recall ascending to 1, precision at that recall; n <= 500."""
    return thin(np.stack([s.true / s.positives, s.precision], axis=1))


def thin(points: Floats, most: int = MAX_POINTS) -> Floats:
    """Keep at most `most` of the (n, 2) points, evenly along the curve, and both ends."""
    if len(points) <= most:
        return points
    length = np.concatenate(([0.0], np.cumsum(np.abs(np.diff(points, axis=0)).sum(axis=1))))
    kept = np.searchsorted(length, np.linspace(0.0, length[-1], most))
    thinned: Floats = points[np.unique(kept)]
    return thinned
