"""Search for parts: pages that continue after the last part shown, and bounded counts."""

from __future__ import annotations

import base64
import json
from array import array
from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

from sqlalchemy import func, select, tuple_
from sqlalchemy.orm import Session

from flawmap.errors import UsageError
from flawmap.station.database.tables import Part
from flawmap.station.parts.conditions import scope_of
from flawmap.station.parts.filters import PartFilter

Order = Literal["newest", "oldest", "highest", "lowest"]
"""By time of receipt, or by score; parts without a score are then left out."""
_TOGETHER = 10_000  # ids


class Found(NamedTuple):
    """A page of parts, and what to give as ``after`` for the next; None after the last."""

    parts: Sequence[Part]
    after: str | None


class Counted(NamedTuple):
    """Number of parts, and whether there are more than were counted."""

    parts: int
    more: bool


def find_parts(
    session: Session,
    wanted: PartFilter,
    after: str | None = None,
    limit: int = 50,
    order: Order = "newest",
) -> Found:
    """Return a page of parts. Raises UsageError for an ``after`` that no page gave."""
    by_score = order in ("highest", "lowest")
    falling = order in ("newest", "highest")
    place = None if after is None else _read_cursor(after, order)
    part, conditions = scope_of(session, wanted, by_score)
    key = part.score if by_score else part.received_at
    query = select(part.id).where(*conditions, key.is_not(None))
    if place is not None:
        own = tuple_(key, part.id)
        query = query.where(own < tuple_(*place) if falling else own > tuple_(*place))
    ordered = (key.desc(), part.id.desc()) if falling else (key, part.id)
    ids = session.scalars(query.order_by(*ordered).limit(limit + 1)).all()
    rows = {row.id: row for row in session.scalars(select(Part).where(Part.id.in_(ids[:limit])))}
    parts = [rows[one] for one in ids[:limit]]
    if len(ids) <= limit:
        return Found(parts, None)
    last = parts[-1]
    return Found(parts, _cursor(order, last.score if by_score else last.received_at, last.id))


def count_parts(session: Session, wanted: PartFilter, most: int = 10_000) -> Counted:
    """Count parts up to ``most``: a count of millions would take longer than it is worth."""
    part, conditions = scope_of(session, wanted)
    some = select(part.id).where(*conditions).limit(most + 1).subquery()
    count = session.scalar(select(func.count()).select_from(some)) or 0
    return Counted(min(count, most), count > most)


def matching_ids(session: Session, wanted: PartFilter) -> array[int]:
    """Return the ids of all parts that a filter finds, in their order: 8 bytes a part."""
    part, conditions = scope_of(session, wanted)
    query = select(part.id).where(*conditions).execution_options(yield_per=_TOGETHER)
    return array("q", sorted(array("q", session.scalars(query))))


def _cursor(order: Order, value: float | None, part_id: int) -> str:
    text = json.dumps([order, value, part_id])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read_cursor(cursor: str, order: Order) -> tuple[float, int]:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        of, value, part_id = json.loads(base64.urlsafe_b64decode(padded.encode("ascii")))
    except (ValueError, TypeError) as error:
        raise _unknown_cursor() from error
    fits = isinstance(value, int | float) and isinstance(part_id, int)
    if of != order or of not in get_args(Order) or not fits or abs(part_id) >= 2**63:
        raise _unknown_cursor()
    if isinstance(value, int) and abs(value) >= 2**63:
        raise _unknown_cursor()
    return value, part_id


def _unknown_cursor() -> UsageError:
    return UsageError("This page is not known: start the search again.")
