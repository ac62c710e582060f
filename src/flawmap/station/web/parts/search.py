"""A search for parts as the address of a page holds it: what is asked for, and its pages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from sqlalchemy import ColumnElement, or_, select, tuple_
from sqlalchemy.orm import Session

from flawmap.station.database.tables import Part, Product, User
from flawmap.station.database.tables.base import now

PAGE = 36  # parts
_SECOND = 1_000_000  # microseconds
_SPANS = {"1h": 3600, "24h": 86_400, "7d": 604_800, "30d": 2_592_000}  # seconds
SPAN_NAMES = {
    "1h": "last hour",
    "24h": "last 24 hours",
    "7d": "last 7 days",
    "30d": "last 30 days",
}
_END = "\U0010ffff"  # after every character: the end of all numbers with a prefix
SearchedVerdict = Literal["good", "review", "reject", "error"]
SearchedDecision = Literal["open", "good", "reject", "unsure"]


class PartSearch(BaseModel):
    """What is searched for; each filter that is given must hold."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    product: str | None = Field(None, max_length=100)
    verdict: tuple[SearchedVerdict, ...] = ()
    decision: SearchedDecision | None = None
    number: str | None = Field(None, max_length=200, description="how the part number begins")
    line: str | None = Field(None, max_length=100)
    within: Literal["1h", "24h", "7d", "30d"] | None = None
    since: datetime | None = None
    until: datetime | None = None
    score_from: float | None = None
    score_to: float | None = None
    area_from: int | None = Field(None, ge=0, le=2**31, description="image pixels")
    reviewer: str | None = Field(None, max_length=60)
    image: str | None = Field(None, pattern="^[0-9a-f]{64}$", description="SHA-256 of the file")

    @field_validator("*", mode="before")
    @classmethod
    def _empty_is_none(cls, value: Any, info: ValidationInfo) -> Any:
        """Take an empty field of the form as not given."""
        if info.field_name == "verdict":
            words = (value,) if isinstance(value, str) else value or ()
            return tuple(word for word in words if word)
        return value.strip() or None if isinstance(value, str) else value

    def parameters(self, **changes: Any) -> str:
        """Return the search as the query of an address, with some filters changed."""
        values = self.model_dump(mode="json", exclude_none=True) | changes
        given = {key: value for key, value in values.items() if value not in (None, (), [])}
        return urlencode(given, doseq=True)


class Chip(NamedTuple):
    """A filter in words, and the query of the address without it."""

    text: str
    without: str


def chips(search: PartSearch) -> list[Chip]:
    """Return the filters that are active, apart from the product, which the header shows."""
    words: dict[str, Callable[[Any], str]] = {
        "decision": lambda value: "not reviewed" if value == "open" else f"reviewed: {value}",
        "number": lambda value: f"number {value}…",
        "line": lambda value: f"line {value}",
        "within": lambda value: SPAN_NAMES[value],
        "since": lambda value: f"since {value:%Y-%m-%d %H:%M} UTC",
        "until": lambda value: f"until {value:%Y-%m-%d %H:%M} UTC",
        "score_from": lambda value: f"score from {value:g}",
        "score_to": lambda value: f"score to {value:g}",
        "area_from": lambda value: f"defect from {value} px",
        "reviewer": lambda value: f"reviewed by {value}",
        "image": lambda value: f"image {value[:12]}…",
    }
    found = [
        Chip(one, search.parameters(verdict=[v for v in search.verdict if v != one]))
        for one in search.verdict
    ]
    for name, say in words.items():
        value = getattr(search, name)
        if value is not None:
            found.append(Chip(say(value), search.parameters(**{name: None})))
    return found


def find_parts(session: Session, search: PartSearch, after: str = "") -> Sequence[Part]:
    """Return the next parts of a search, the newest first; one more than a page if there are more.

    `after`: the place of the last part of the page before, by :func:`place`.
    """
    query = select(Part).where(*_conditions(session, search))
    if after:
        query = query.where(tuple_(Part.received_at, Part.id) < _parsed(after))
    query = query.order_by(Part.received_at.desc(), Part.id.desc())
    return session.scalars(query.limit(PAGE + 1)).all()


def place(part: Part) -> str:
    """Return where a part stands in time, for the address of the next page."""
    return f"{part.received_at}.{part.id}"


def _parsed(after: str) -> tuple[int, int]:
    """Return time and id; of a text that is no place, one before all parts."""
    time, _, number = after.partition(".")
    if time.isdecimal() and number.isdecimal() and len(time) < 18 and len(number) < 18:
        return int(time), int(number)
    return 0, 0


def _conditions(session: Session, search: PartSearch) -> list[ColumnElement[bool]]:
    return [
        *_identity(session, search),
        *_verdicts(search),
        *_times(search),
        *_values(session, search),
    ]


def _identity(session: Session, search: PartSearch) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if search.product is not None:
        product = session.scalar(select(Product.id).where(Product.name == search.product))
        found.append(Part.product_id == (-1 if product is None else product))
    if search.number is not None:
        found += [Part.number >= search.number, Part.number < search.number + _END]
    if search.line is not None:
        found.append(Part.line == search.line)
    if search.image is not None:
        found.append(Part.image == search.image)
    return found


def _verdicts(search: PartSearch) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if search.verdict:
        named = [one for one in search.verdict if one != "error"]
        alternatives = [Part.verdict.in_(named)] if named else []
        if "error" in search.verdict:
            alternatives.append(Part.verdict.is_(None))
        found.append(or_(*alternatives))
    if search.decision == "open":
        found.append(Part.decision.is_(None))
    elif search.decision is not None:
        found.append(Part.decision == search.decision)
    return found


def _times(search: PartSearch) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if search.within is not None:
        found.append(Part.received_at >= now() - _SPANS[search.within] * _SECOND)
    if search.since is not None:
        found.append(Part.received_at >= _microseconds(search.since))
    if search.until is not None:
        found.append(Part.received_at < _microseconds(search.until))
    return found


def _values(session: Session, search: PartSearch) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if search.score_from is not None:
        found.append(Part.score >= search.score_from)
    if search.score_to is not None:
        found.append(Part.score <= search.score_to)
    if search.area_from is not None:
        found.append(Part.largest_area >= search.area_from)
    if search.reviewer is not None:
        user = session.scalar(select(User.id).where(User.name == search.reviewer))
        found.append(Part.decided_by == (-1 if user is None else user))
    return found


def _microseconds(moment: datetime) -> int:
    return int(moment.timestamp() * _SECOND)
