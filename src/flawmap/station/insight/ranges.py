"""Ranges of time that a page can show: the last hours or days, or from one moment to another."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal, NamedTuple, get_args

from flawmap.errors import UsageError
from flawmap.station.database.tables.base import now

Span = Literal["1h", "8h", "24h", "7d", "30d", "90d", "365d"]
SPANS: tuple[Span, ...] = get_args(Span)
NAMES = {"1h": "1 hour", "8h": "8 hours", "24h": "24 hours", "7d": "7 days"}
NAMES |= {"30d": "30 days", "90d": "90 days", "365d": "1 year"}
SECOND = 1_000_000  # microseconds
HOUR = 3600 * SECOND
DAY = 24 * HOUR


class Period(NamedTuple):
    """From `start` on and before `end`, in microseconds since 1970; `span` where one was chosen."""

    start: int
    end: int
    span: str | None = None


def period(span: str = "7d", start: str = "", end: str = "") -> Period:
    """Return a period that ends now, or the one between two moments in ISO 8601, if given.

    A moment without a time zone is UTC. Raises UsageError for what is not one.
    """
    if start or end:
        last = _moment(end) if end else now()
        first = _moment(start) if start else last - 7 * DAY
        if first >= last:
            raise UsageError("The range ends before it begins: choose an earlier beginning.")
        return Period(first, last)
    if span not in SPANS:
        raise UsageError(f"Unknown range {span[:20]!r}: choose one of {', '.join(SPANS)}.")
    length = int(span[:-1]) * (HOUR if span.endswith("h") else DAY)
    last = now()
    return Period(last - length, last, span)


def _moment(text: str) -> int:
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(
            f"{text[:40]!r} is no moment: give one such as 2026-03-01T06:00Z."
        ) from error
    if parsed.tzinfo is None:
        parsed = parsed.replace(tzinfo=UTC)
    if not 1970 <= parsed.year <= 9000:
        raise UsageError("The range lies outside the years 1970 to 9000.")
    return round(parsed.timestamp() * SECOND)
