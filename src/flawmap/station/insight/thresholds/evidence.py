"""What stored defect lists say about other filters: defects are left, none is left, or unknown.

A part with filters is `good` if no region passes them. Let the part have been judged with pixel
threshold t, merge distance m and filters f, and let the new ones be t', m' and f'. A lower
threshold or a longer merge distance only adds pixels to a region or joins regions; a higher or
shorter one only takes pixels away or splits it. Hence:

- t' <= t and m' >= m: a stored defect that passes f' is part of a region that passes, too;
- t' >= t and m' <= m, and f dropped nothing that f' would keep: each new region lies within a
  stored one, so if none of these can pass f', no region can;
- without a smallest area in f' and with nothing dropped by f, the highest value of the map
  decides, and it is known if it is above t.

Stored areas are rounded to whole pixels: within half a pixel of the limit, the map decides.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flawmap.inspection.defects import Filters
from flawmap.station.insight.thresholds.stored import DefectLists

NONE, LEFT, UNKNOWN = 0, 1, 2
Left = NDArray[np.int8]


class Rule(NamedTuple):
    """Pixel threshold and filters that make defects of a map."""

    pixel: float
    filters: Filters


def left(lists: DefectLists, chosen: NDArray[np.bool_], before: Rule, after: Rule) -> Left:
    """Return for parts (n,) whether defects are left: NONE, LEFT or UNKNOWN; not chosen: NONE.

    `before`: the rule that the stored `lists` of the chosen parts were made by.
    """
    answer = np.where(chosen, np.int8(UNKNOWN), np.int8(NONE))
    surely, maybe = _passing(lists, after.filters, len(chosen))
    new, old = after.filters, before.filters
    grows = after.pixel <= before.pixel and new.merge_distance >= old.merge_distance
    shrinks = after.pixel >= before.pixel and new.merge_distance <= old.merge_distance
    keeps_less = new.min_area >= old.min_area and new.min_peak >= old.min_peak
    if grows:
        answer[chosen & surely] = LEFT
    if shrinks and keeps_less:
        answer[chosen & ~maybe] = NONE
    if new.min_area == 0.0 and not old.drop:
        highest = np.full(len(chosen), -np.inf)
        np.maximum.at(highest, lists.part, lists.peak)
        known = chosen & ((highest > -np.inf) | (after.pixel >= before.pixel))
        passes = (highest > after.pixel) & (highest >= new.min_peak)
        answer[known] = np.where(passes[known], LEFT, NONE)
    return answer


def _passing(
    lists: DefectLists, filters: Filters, count: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which parts (n,) have a stored defect that surely passes, and one that may."""
    peak = lists.peak >= filters.min_peak
    lowest = np.where(lists.area <= 1.0, 0.0, lists.area - 0.5)  # 1 is the least that is stored
    surely = peak & (lowest >= filters.min_area)
    maybe = peak & (lists.area + 0.5 >= filters.min_area)
    return _any(lists.part[surely], count), _any(lists.part[maybe], count)


def _any(parts: NDArray[np.intp], count: int) -> NDArray[np.bool_]:
    return np.bincount(parts, minlength=count) > 0
