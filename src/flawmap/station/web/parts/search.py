"""A search for parts as the address of a page holds it, in words, and as a filter."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal, NamedTuple
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from sqlalchemy import select
from sqlalchemy.orm import Session

from flawmap.station.database.tables import Product, User
from flawmap.station.database.tables.base import now
from flawmap.station.parts.filters import DecisionOrOpen, PartFilter, VerdictOrError

_SECOND = 1_000_000  # microseconds
_SPANS = {"1h": 3600, "24h": 86_400, "7d": 604_800, "30d": 2_592_000}  # seconds
SPAN_NAMES = {
    "1h": "last hour",
    "24h": "last 24 hours",
    "7d": "last 7 days",
    "30d": "last 30 days",
}
_NOBODY = 0  # the id of no row: nothing is found, rather than everything


class PartSearch(BaseModel):
    """What is searched for; each filter that is given must hold."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    product: str | None = Field(None, max_length=100)
    verdict: tuple[VerdictOrError, ...] = ()
    decision: DecisionOrOpen | None = None
    number: str | None = Field(None, max_length=200, description="how the part number begins")
    line: str | None = Field(None, max_length=100)
    within: Literal["1h", "24h", "7d", "30d"] | None = None
    since: datetime | None = None
    until: datetime | None = None
    score_from: float | None = None
    score_to: float | None = None
    area_from: int | None = Field(None, ge=0, le=2**31 - 1, description="image pixels")
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


def wanted_parts(session: Session, search: PartSearch) -> PartFilter:
    """Return the filter for the parts of a search at this moment."""
    return PartFilter(
        product=_id_of(session, Product, search.product),
        verdicts=search.verdict,
        decisions=() if search.decision is None else (search.decision,),
        number=search.number,
        line=search.line,
        since=_since(search),
        until=None if search.until is None else _microseconds(search.until),
        lowest_score=search.score_from,
        highest_score=search.score_to,
        smallest_area=search.area_from,
        reviewer=_id_of(session, User, search.reviewer),
        image=search.image,
    )


def export_query(wanted: PartFilter) -> str:
    """Return a filter as the query of the API's exports."""
    words = {"verdicts": "verdict", "decisions": "decision"}
    given = wanted.model_dump(exclude_none=True)
    return urlencode({words.get(key, key): value for key, value in given.items()}, doseq=True)


def _id_of(session: Session, table: type[Product | User], name: str | None) -> int | None:
    if name is None:
        return None
    found = session.scalar(select(table.id).where(table.name == name))
    return _NOBODY if found is None else found


def _since(search: PartSearch) -> int | None:
    """Return the later one of the span's beginning and the given one."""
    moments = [] if search.since is None else [_microseconds(search.since)]
    if search.within is not None:
        moments.append(now() - _SPANS[search.within] * _SECOND)
    return max(moments, default=None)


def _microseconds(moment: datetime) -> int:
    return max(0, int(moment.timestamp() * _SECOND))
