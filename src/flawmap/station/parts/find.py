"""Search for parts: filters that combine, and pages that continue after the last part shown."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, get_args

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import ColumnElement, Select, func, select, tuple_
from sqlalchemy.orm import Session

from flawmap.errors import UsageError
from flawmap.station.database.tables import Part, Review

_COMMON = 2000  # part numbers with the same beginning
Order = Literal["newest", "oldest", "highest", "lowest"]
"""By time of receipt, or by score; parts without a score are then left out."""
VerdictOrError = Literal["good", "review", "reject", "error"]
DecisionOrOpen = Literal["good", "reject", "unsure", "open"]


class PartFilter(BaseModel):
    """What parts to find; fields without a value find all. Moments are microseconds since 1970."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    product: int | None = Field(None, description="id of the product")
    line: str | None = Field(None, description="name of the line")
    source: str | None = Field(None, description="where parts came from, such as http")
    number: str | None = Field(None, description="part numbers that begin so")
    verdicts: tuple[VerdictOrError, ...] = Field((), description="any of these verdicts, or error")
    decisions: tuple[DecisionOrOpen, ...] = Field(
        (), description="any of these decisions of reviewers; open: none yet"
    )
    lowest_score: float | None = Field(None, description="scores from this on")
    highest_score: float | None = Field(None, description="scores up to this")
    lowest_p: float | None = Field(None, description="p-values from this on")
    highest_p: float | None = Field(None, description="p-values up to this")
    since: int | None = Field(None, description="received at this moment or later")
    until: int | None = Field(None, description="received before this moment")
    smallest_area: int | None = Field(None, description="largest defect of this area or more, px")
    largest_area: int | None = Field(None, description="largest defect of this area or less, px")
    reviewer: int | None = Field(None, description="id of a user who reviewed it")
    field: str | None = Field(None, description="NAME=VALUE of an operator-supplied field")
    model: str | None = Field(None, description="digest of the model that judged")
    settings: str | None = Field(None, description="digest of the settings that judged")
    image: str | None = Field(None, description="SHA-256 of the image's file")


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
    by_time = order in ("newest", "oldest")
    key = Part.received_at if by_time else Part.score
    conditions = _conditions(wanted, by_time and _is_common(session, wanted.number), by_time)
    query = select(Part.id).where(*conditions)
    if not by_time:
        query = query.where(Part.score.is_not(None))
    falling = order in ("newest", "highest")
    if after is not None:
        place = _read_cursor(after, order)
        own = tuple_(key, Part.id)
        query = query.where(own < tuple_(*place) if falling else own > tuple_(*place))
    ordered = (key.desc(), Part.id.desc()) if falling else (key, Part.id)
    ids = query.order_by(*ordered).limit(limit + 1)  # from an index; rows only of this page
    chosen = select(Part).where(Part.id.in_(ids.scalar_subquery()))
    parts = session.scalars(chosen.order_by(*ordered)).all()
    if len(parts) <= limit:
        return Found(parts, None)
    last = parts[limit - 1]
    value = last.received_at if key is Part.received_at else last.score
    return Found(parts[:limit], _cursor(order, value, last.id))


def count_parts(session: Session, wanted: PartFilter, most: int = 10_000) -> Counted:
    """Count parts up to ``most``: a count of millions would take longer than it is worth."""
    some = selection(wanted).with_only_columns(Part.id).limit(most + 1).subquery()
    count = session.scalar(select(func.count()).select_from(some)) or 0
    return Counted(min(count, most), count > most)


def selection(wanted: PartFilter) -> Select[Part]:
    """Return the query for the parts that a filter finds. Raises UsageError for a bad field."""
    return select(Part).where(*_conditions(wanted))


def _is_common(session: Session, number: str | None) -> bool:
    """Return whether so many numbers begin so that a walk through time finds a page sooner."""
    if not number:
        return False
    some = select(Part.id).where(*_beginning(number)).limit(_COMMON).subquery()
    return session.scalar(select(func.count()).select_from(some)) == _COMMON


def _conditions(
    wanted: PartFilter, common_number: bool = False, by_time: bool = False
) -> list[ColumnElement[bool]]:
    """Return the conditions; what would lead a planner away from an index by time is wrapped."""
    found: list[ColumnElement[bool]] = [
        *_equal(wanted),
        *_ranges(wanted, by_time),
        *_any_of(Part.verdict, wanted.verdicts, "error"),
        *_any_of(Part.decision, wanted.decisions, "open"),
    ]
    if wanted.number:
        found += _beginning(wanted.number, Part.number + "" if common_number else Part.number)
    if wanted.reviewer is not None:
        theirs = select(Review.part_id).where(Review.user_id == wanted.reviewer)
        found.append(Part.id.in_(theirs))
    if wanted.field is not None:
        name, separator, value = wanted.field.partition("=")
        if not separator or not name:
            raise UsageError(f"Give a field as NAME=VALUE, not {wanted.field!r}.")
        found.append(Part.fields[name].as_string() == value)
    return found


def _equal(wanted: PartFilter) -> list[ColumnElement[bool]]:
    pairs: tuple[tuple[Any, Any], ...] = (
        (Part.product_id, wanted.product),
        (Part.line, wanted.line),
        (Part.source, wanted.source),
        (Part.model, wanted.model),
        (Part.settings, wanted.settings),
        (Part.image, wanted.image),
    )
    return [column == value for column, value in pairs if value is not None]


def _ranges(wanted: PartFilter, by_time: bool) -> list[ColumnElement[bool]]:
    ranges: tuple[tuple[Any, Any, Any], ...] = (
        (Part.score + 0.0 if by_time else Part.score, wanted.lowest_score, wanted.highest_score),
        (Part.p_value, wanted.lowest_p, wanted.highest_p),
        (Part.largest_area, wanted.smallest_area, wanted.largest_area),
        (Part.received_at, wanted.since, None),
    )
    found = [column >= low for column, low, _ in ranges if low is not None]
    found += [column <= high for column, _, high in ranges if high is not None]
    if wanted.until is not None:
        found.append(Part.received_at < wanted.until)
    return found


def _any_of(column: Any, words: tuple[str, ...], nothing: str) -> list[ColumnElement[bool]]:
    """Return the condition that a column is one of the words, or empty for ``nothing``.

    One word is looked up in an index; of several, the index by time is walked.
    """
    if not words:
        return []
    if len(words) == 1 and words[0] != nothing:
        return [column == words[0]]
    if words == (nothing,) and nothing == "error":
        return [column.is_(None)]
    return [func.coalesce(column, nothing).in_(words)]


def _beginning(number: str, column: Any = Part.number) -> list[ColumnElement[bool]]:
    """Return conditions on part numbers that begin so; an index serves them, as LIKE's would not.

    The column is compared by code points in every database.
    """
    found: list[ColumnElement[bool]] = [column >= number]
    code = ord(number[-1]) + 1
    code = 0xE000 if 0xD800 <= code < 0xE000 else code  # surrogates are no characters
    if code <= 0x10FFFF:
        found.append(column < number[:-1] + chr(code))
    return found


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
