"""Detection of held-out good images whose scores are outliers: probably flawed parts.

Rosner, "Percentage points for a generalized ESD many-outlier procedure", Technometrics 25 (1983),
one-sided, on the logarithms of the scores: they cover orders of magnitude.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

LEAST = 5
"""Fewest scores that can be tested."""
_FALSE_ALARM = 0.01  # probability of any outlier in a log-normal sample
_MOST = 0.34  # maximum share of outliers among the scores: two of six
_GAP = 2.0  # gap below the lowest outlier, in standard deviations of the rest
_FACTOR = 1.25  # minimum ratio across the gap: rounding must not count, however equal the rest


def outliers(scores: Sequence[float]) -> tuple[int, ...]:
    """Return the indices of scores that are outliers above the rest, highest score first.

    The result is empty for fewer than 5 scores and in 98 of 100 ordinary samples (normal,
    log-normal, gamma), but often not for samples with a power-law tail. At most a third of the
    scores is returned. Scores must be finite.

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
    # Candidate i is the highest of the first i + 1 scores; mean and spread are those of the i
    # below it. Its t-statistic has Student's distribution with i - 1 degrees of freedom.
    i = np.arange(max(LEAST - 1, count - int(_MOST * count)), count)
    mean = np.cumsum(x)[i - 1] / i
    spread = np.sqrt(np.maximum(np.cumsum(x**2)[i - 1] - i * mean**2, 0.0) / (i - 1))
    gap = x[i] - x[i - 1]
    limit = stdtrit(i - 1, 1.0 - _FALSE_ALARM / (i + 1)) * spread * np.sqrt(1.0 + 1.0 / i)
    least = np.log(_FACTOR) if positive else 0.0
    apart = (x[i] - mean > limit) & (gap > np.maximum(_GAP * spread, least))
    first = i[apart][0] if apart.any() else count
    return tuple(int(index) for index in order[first:][::-1])
