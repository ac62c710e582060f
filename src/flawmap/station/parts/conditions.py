"""Conditions of a search, and which index finds its parts.

A search walks through time, or through scores, in an index that has the columns of its conditions,
until its page is full. That takes long if few parts fulfil a condition. Each condition that has an
index of its own is therefore tried first: if it finds few parts, only these are looked at.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.orm import Session, aliased

from flawmap.station.database.tables import Part, Review
from flawmap.station.parts.filters import PartFilter

FEW = 2000  # parts that are looked at one by one
_Condition = ColumnElement[bool]


class Scope(NamedTuple):
    """Parts among which a search looks: all, or the few that one of its conditions finds."""

    part: type[Part]
    conditions: list[_Condition]


def scope_of(session: Session, wanted: PartFilter, by_score: bool = False) -> Scope:
    """Return where to look, and the conditions there. Raises UsageError for a bad field."""
    few = _few(session, wanted)
    part = Part if few is None else few
    return Scope(part, conditions(part, wanted, by_score))


def conditions(part: type[Part], wanted: PartFilter, by_score: bool = False) -> list[_Condition]:
    """Return the conditions that parts of a search fulfil.

    A planner may look up only what begins an index in the order of the result: time after product,
    verdict or decision; or score. Other columns are hidden from it, as an index of theirs would
    find many parts, which it would then have to sort.
    """
    leading = _hidden if by_score else _plain
    found = [
        *_equal(part, wanted),
        *_ranges(part, wanted, by_score),
        *_any_of(leading(part.verdict), wanted.verdicts, "error"),
        *_any_of(leading(part.decision), wanted.decisions, "open"),
    ]
    if wanted.product is not None:
        found.append(leading(part.product_id) == wanted.product)
    if wanted.number:
        found.append(_beginning(_hidden(part.number), wanted.number))
    if wanted.reviewer is not None:
        theirs = select(Review.part_id).where(Review.user_id == wanted.reviewer)
        found.append(part.id.in_(theirs))
    if (named := wanted.named_field) is not None:
        found.append(part.fields[named[0]].as_string() == named[1])
    return found


def _few(session: Session, wanted: PartFilter) -> type[Part] | None:
    """Return the parts that fulfil a condition which few fulfil, as a table; None without one.

    Its limit keeps planners from moving other conditions into it.
    """
    for condition in _looked_up(wanted):
        ids = select(Part.id).where(condition).limit(FEW).subquery()
        if (session.scalar(select(func.count()).select_from(ids)) or 0) < FEW:
            return aliased(Part, select(Part).where(condition).limit(FEW).subquery())
    return None


def _looked_up(wanted: PartFilter) -> list[_Condition]:
    """Return the conditions that have an index of their own, the rarest kind first."""
    found: list[_Condition] = []
    if wanted.image is not None:
        found.append(Part.image == wanted.image)
    if wanted.number:
        found.append(_beginning(Part.number, wanted.number))
    if wanted.reviewer is not None:
        theirs = select(Review.part_id).where(Review.user_id == wanted.reviewer)
        found.append(Part.id.in_(theirs))
    for column, low, high in (
        (Part.largest_area, wanted.smallest_area, wanted.largest_area),
        (Part.score, wanted.lowest_score, wanted.highest_score),
    ):
        if between := _between(column, low, high):
            found.append(and_(*between))
    if wanted.line is not None:
        found.append(Part.line == wanted.line)
    if wanted.source is not None:
        found.append(Part.source == wanted.source)
    if wanted.product is not None:
        found.append(Part.product_id == wanted.product)
    if wanted.verdicts == ("error",):
        found.append(Part.verdict.is_(None))
    elif wanted.verdicts and "error" not in wanted.verdicts:
        found.append(Part.verdict.in_(wanted.verdicts))
    if wanted.decisions and "open" not in wanted.decisions:
        found.append(Part.decision.in_(wanted.decisions))
    return found


def _equal(part: type[Part], wanted: PartFilter) -> list[_Condition]:
    pairs: tuple[tuple[Any, Any], ...] = (
        (part.line, wanted.line),
        (part.source, wanted.source),
        (part.model, wanted.model),
        (part.settings, wanted.settings),
        (part.image, wanted.image),
    )
    return [_hidden(column) == value for column, value in pairs if value is not None]


def _ranges(part: type[Part], wanted: PartFilter, by_score: bool) -> list[_Condition]:
    by_time = _hidden(part.received_at) if by_score else part.received_at
    score = part.score if by_score else _hidden(part.score)
    found = [
        *_between(score, wanted.lowest_score, wanted.highest_score),
        *_between(_hidden(part.p_value), wanted.lowest_p, wanted.highest_p),
        *_between(_hidden(part.largest_area), wanted.smallest_area, wanted.largest_area),
        *_between(by_time, wanted.since, None),
    ]
    return found if wanted.until is None else [*found, by_time < wanted.until]


def _between(column: Any, low: float | None, high: float | None) -> list[_Condition]:
    found = [] if low is None else [column >= low]
    return found if high is None else [*found, column <= high]


def _any_of(column: Any, words: tuple[str, ...], nothing: str) -> list[_Condition]:
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


def _beginning(column: Any, text: str) -> _Condition:
    """Return the condition that a text begins so; an index serves it, as it would not serve LIKE.

    The column is compared by code points in every database.
    """
    code = ord(text[-1]) + 1
    code = 0xE000 if 0xD800 <= code < 0xE000 else code  # surrogates are no characters
    if code > 0x10FFFF:
        return column >= text  # type: ignore[no-any-return]
    return and_(column >= text, column < text[:-1] + chr(code))


def _plain(column: Any) -> Any:
    return column


def _hidden(column: Any) -> Any:
    """Return the same value as an expression, for which no index is looked up."""
    return column + ("" if column.type.python_type is str else 0)
