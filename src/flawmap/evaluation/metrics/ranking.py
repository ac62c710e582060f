"""AUROC, average precision and best F1 of one ranking, ties as in scikit-learn.

All three need at least one positive and one negative; the evaluator answers None otherwise.
"""

from __future__ import annotations

import numpy as np

from flawmap.evaluation.metrics.counting.steps import Steps


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
