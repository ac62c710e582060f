"""The p-chart: is a share of parts in statistical control?

For subgroups of n_i parts of which x_i were rejected, the centre line is p = sum(x_i) / sum(n_i),
and the limits of subgroup i are p -+ 3 sqrt(p (1 - p) / n_i), cut at 0 and 1: a chart with variable
sample size (D. C. Montgomery, Introduction to Statistical Quality Control, section 7.2; NIST and
SEMATECH, e-Handbook of Statistical Methods, section 6.3.3.2). While each part is rejected
independently with the same probability, a point lies outside in about 0.3 % of cases. Where n_i p
is below 5, the normal approximation is coarse: such points are said to be `few`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_FEW = 5.0
_SIGMAS = 3.0


@dataclass(frozen=True)
class PChart:
    """Centre line, and of each subgroup (n,) its share, limits, and whether it lies outside.

    Subgroups without parts have neither. `few`: subgroups with fewer than 5 expected rejects.
    """

    centre: float | None
    share: list[float | None]
    low: list[float | None]
    high: list[float | None]
    outside: list[bool]
    few: list[bool]


def p_chart(hits: Sequence[int], sizes: Sequence[int]) -> PChart:
    """Compute the chart of `hits` among `sizes` parts of each subgroup."""
    x, n = np.asarray(hits, np.float64), np.asarray(sizes, np.float64)
    if not n.sum():
        none: list[float | None] = [None] * len(n)
        return PChart(None, none, none, none, [False] * len(n), [False] * len(n))
    p = float(x.sum() / n.sum())
    some = n > 0
    size = np.where(some, n, 1.0)
    spread = _SIGMAS * np.sqrt(p * (1.0 - p) / size)
    share, low, high = x / size, np.maximum(0.0, p - spread), np.minimum(1.0, p + spread)
    outside = some & ((share < low) | (share > high))

    def shown(values: object) -> list[float | None]:
        return [float(v) if ok else None for v, ok in zip(values, some, strict=True)]  # type: ignore[call-overload]

    few = some & (size * p < _FEW)
    return PChart(p, shown(share), shown(low), shown(high), outside.tolist(), few.tolist())
