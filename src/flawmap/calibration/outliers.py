"""Held-out good images whose scores stand apart: most likely flawed parts among the good ones.

Rosner, "Percentage points for a generalized ESD many-outlier procedure", Technometrics 25 (1983),
one-sided, on the logarithms of the scores: they cover orders of magnitude.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

LEAST = 5
"""Fewest scores that can be tested."""
_FALSE_ALARM = 0.01  # probability to name anything in a log-normal sample
_MOST = 0.34  # share of the scores that may be named: two of six
_GAP = 2.0  # standard deviations of the rest between them and the lowest that stands apart
_FACTOR = 1.25  # by which it is higher: rounding is not told, however equal the others are


def outliers(scores: Sequence[float]) -> tuple[int, ...]:
    """Indices of the scores that stand apart above the rest, highest score first.

    They are empty for fewer than 5 scores, and in 98 of 100 ordinary samples (normal, log-normal,
    gamma); of a sample with a power-law tail they often are not. At most a third is named. Scores
    must be finite.

    >>> outliers([0.0052, 0.0054, 0.0587, 0.0052, 0.0056, 0.0052])
    (2,)
    """
    from scipy.special import stdtrit

    values = np.asarray(scores, dtype=np.float64)
    count = len(values)
    if count < LEAST:
        return ()
    order = np.argsort(values, kind="stable")
    positive = values[order[0]] > 0.0
    x = np.log(values[order]) if positive else values[order]
    x -= x[count // 2]
    # Candidate i is the highest of the first i + 1; below it lie i, whose mean and deviation these
    # are. Its t-statistic has Student's distribution with i - 1 degrees of freedom.
    i = np.arange(max(LEAST - 1, count - int(_MOST * count)), count)
    mean = np.cumsum(x)[i - 1] / i
    spread = np.sqrt(np.maximum(np.cumsum(x**2)[i - 1] - i * mean**2, 0.0) / (i - 1))
    gap = x[i] - x[i - 1]
    limit = stdtrit(i - 1, 1.0 - _FALSE_ALARM / (i + 1)) * spread * np.sqrt(1.0 + 1.0 / i)
    least = np.log(_FACTOR) if positive else 0.0
    apart = (x[i] - mean > limit) & (gap > np.maximum(_GAP * spread, least))
    first = i[apart][0] if apart.any() else count
    return tuple(int(index) for index in order[first:][::-1])
