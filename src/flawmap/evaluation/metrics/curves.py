"""ROC and precision-recall curves, small enough to plot in a report."""

from __future__ import annotations

import numpy as np

from flawmap.evaluation.metrics.counting.steps import Steps
from flawmap.evaluation.metrics.counting.tally import Floats

MAX_POINTS = 500


def roc_curve(s: Steps) -> Floats:
    """(n, 2): false positive rate, true positive rate, ascending; n <= 500, ends at (1, 1).

    Between the two corners of a step lies a tie, elsewhere the curve runs level.
    """
    x = np.stack([s.above_negative, s.false], axis=1).ravel() / s.negatives
    y = np.stack([s.above_positive, s.true], axis=1).ravel() / s.positives
    corners = np.stack([x, y], axis=1)
    return thin(np.concatenate([[[0.0, 0.0]], corners, [[1.0, 1.0]]]))


def precision_recall_curve(s: Steps) -> Floats:
    """(n, 2): recall ascending to 1, precision at that recall; n <= 500."""
    return thin(np.stack([s.true / s.positives, s.precision], axis=1))


def thin(points: Floats, most: int = MAX_POINTS) -> Floats:
    """At most `most` of the (n, 2) points, about evenly spaced along the curve, both ends kept."""
    if len(points) <= most:
        return points
    length = np.concatenate(([0.0], np.cumsum(np.abs(np.diff(points, axis=0)).sum(axis=1))))
    kept = np.searchsorted(length, np.linspace(0.0, length[-1], most))
    thinned: Floats = points[np.unique(kept)]
    return thinned
