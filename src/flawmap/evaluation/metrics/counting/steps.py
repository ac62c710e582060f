"""The one intermediate that every ranking figure is computed from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flawmap.evaluation.metrics.counting.tally import Floats, Tally


@dataclass(frozen=True, eq=False)
class Steps:
    """Counts at each distinct score that a positive has, from the highest score down; all (K,).

    Thresholds between two of these change nothing but the false positives, so every figure here
    is decided at them: recall steps, and therefore average precision; the best F1; and the corners
    of the ROC curve. Positives and negatives that share a score are tied: no threshold parts them.
    """

    above_positive: Floats  # positives with a strictly higher score
    at_positive: Floats  # positives with this score, at least 1
    above_negative: Floats
    at_negative: Floats
    positives: float
    negatives: float

    @property
    def true(self) -> Floats:
        """Positives at this score or higher, (K,)."""
        return self.above_positive + self.at_positive

    @property
    def false(self) -> Floats:
        """Negatives at this score or higher, (K,)."""
        return self.above_negative + self.at_negative

    @property
    def precision(self) -> Floats:
        """Share of positives among all at this score or higher, (K,) in (0, 1]."""
        return self.true / (self.true + self.false)


def steps(positive: Tally, negative: Tally) -> Steps:
    """Rank two tables of counts (first column) against each other.

    >>> s = steps(Tally.of_keys(np.array([2, 3])), Tally.of_keys(np.array([1, 2])))
    >>> s.above_negative.tolist(), s.at_negative.tolist()
    ([0.0, 0.0], [0.0, 1.0])
    """
    below = np.concatenate(([0.0], np.cumsum(negative.sums[0])))
    lower = below[np.searchsorted(negative.keys, positive.keys, "left")][::-1]
    not_higher = below[np.searchsorted(negative.keys, positive.keys, "right")][::-1]
    at_positive = positive.sums[0][::-1]
    true = np.cumsum(at_positive)
    return Steps(
        above_positive=true - at_positive,
        at_positive=at_positive,
        above_negative=below[-1] - not_higher,
        at_negative=not_higher - lower,
        positives=float(true[-1]) if len(true) else 0.0,
        negatives=float(below[-1]),
    )
