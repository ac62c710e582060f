"""Ranges of stored parts that are kept in memory, and brought up to date for each question."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from flawmap.station.database.tables import Part, Review
from flawmap.station.insight.thresholds.stored import (
    COLUMNS,
    LATE,
    MOST,
    DefectLists,
    Kind,
    Mark,
    Range,
    StoredParts,
    load,
    mark_of,
    of_rows,
    read_defects,
    within,
)

_KEPT = 4  # ranges
_FEW = 10_000  # new ids: with more of them, a range is loaded anew
_ARRAYS = (
    "id", "received_at", "score", "verdict", "decision", "sampled", "defects", "has_map", "kind",
)  # fmt: skip


class StoredCache:
    """The ranges that were asked for last, in memory."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[Range, StoredParts] = OrderedDict()

    def get(self, session: Session, chosen: Range) -> StoredParts:
        """Return the parts of a range as they are now; of a kept one, only changes are read."""
        with self._lock:
            kept = self._kept.get(chosen)
        found = load(session, chosen) if kept is None else refreshed(session, kept)
        with self._lock:
            self._kept[chosen] = found
            self._kept.move_to_end(chosen)
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return found


def refreshed(session: Session, stored: StoredParts) -> StoredParts:
    """Return what :func:`.stored.load` would return now; read only what changed since."""
    mark = mark_of(session)
    if mark == stored.mark:
        return stored
    if max(mark.part - stored.mark.part, mark.review - stored.mark.review) > _FEW:
        return load(session, stored.range)
    changed = _changed_since(stored.range, stored.mark)
    rows = session.execute(select(*COLUMNS).where(*changed, Part.score.is_not(None))).all()
    new = of_rows(session, stored.range, mark, rows, truncated=stored.truncated)
    if stored.lists is not None:
        new.lists = read_defects(session, new, changed)
    return _joined(new, stored)


def _changed_since(chosen: Range, mark: Mark) -> list[Any]:
    """Return the conditions of parts of a range that were stored or decided on since."""
    stored = select(Part.id).where(Part.id > mark.part - LATE)
    decided = select(Review.part_id).where(Review.id > mark.review - LATE)
    few = Part.id.in_(stored.union(decided))
    return [few, *within(chosen, Part.product_id + 0, Part.received_at + 0)]  # by no other index


def _joined(new: StoredParts, stored: StoredParts) -> StoredParts:
    """Return stored parts with those of `new` added, or in their place."""
    kinds = {_name(kind): kind for kind in (*stored.kinds, *new.kinds)}
    numbers = {name: index for index, name in enumerate(kinds)}
    new, stored = (_numbered(one, numbers) for one in (new, stored))
    kept = np.flatnonzero(~np.isin(stored.id, new.id))
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(new, name), getattr(stored, name)[kept]]) for name in _ARRAYS
    }
    order = np.lexsort((columns["id"], columns["received_at"]))[::-1][:MOST]
    place = np.full(len(new) + len(kept), -1, np.intp)  # in the order; -1: older than the newest
    place[order] = np.arange(len(order))
    before = np.full(len(stored), -1, np.intp)
    before[kept] = place[len(new) :]
    return replace(
        new,
        **{name: column[order] for name, column in columns.items()},
        kinds=list(kinds.values()),
        truncated=stored.truncated or len(place) > len(order),
        lists=_joined_lists((new.lists, place), (stored.lists, before)),
        regions=stored.regions,
    )


def _name(kind: Kind) -> tuple[str, str]:
    return kind.record.model, kind.record.settings


def _numbered(parts: StoredParts, numbers: dict[tuple[str, str], int]) -> StoredParts:
    """Return parts whose `kind` is that of `numbers`."""
    own = np.array([numbers[_name(kind)] for kind in parts.kinds], np.int32)
    return replace(parts, kind=own[parts.kind])


def _joined_lists(*lists: tuple[DefectLists | None, NDArray[np.intp]]) -> DefectLists | None:
    """Return lists as one, with new indexes for those of parts; -1: the part is left out."""
    moved = [one._replace(part=place[one.part]) for one, place in lists if one is not None]
    if len(moved) < len(lists):
        return None  # not read yet
    part, area, peak = (np.concatenate(column) for column in zip(*moved, strict=True))
    left = part >= 0
    return DefectLists(part[left], area[left], peak[left])
