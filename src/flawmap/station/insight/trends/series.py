"""Series over time for one product: verdicts, scores and latency by hour, day or week."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Literal, get_args
from zoneinfo import ZoneInfo

from pydantic import BaseModel, Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from flawmap.station.database.tables import HourCount
from flawmap.station.insight.errors import Share
from flawmap.station.insight.ranges import DAY, HOUR, SECOND
from flawmap.station.insight.trends.bins import merge, quantiles
from flawmap.station.insight.trends.chart import p_chart

Step = Literal["hour", "day", "week"]
STEPS: tuple[Step, ...] = get_args(Step)
Measure = Literal["reject", "flagged"]
SCORE_SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)
LATENCY_SHARES = (0.5, 0.95, 0.99)
_MOST = 1500  # points of a chart
Counts = Sequence[Any]
"""Rows of hours, with the columns of HourCount."""


class Series(BaseModel):
    """One value for each period, oldest first; none where no part came."""

    step: Step
    at: list[int] = Field(description="beginning of each period, microseconds since 1970")
    zone: str = Field(description="time zone in which days and weeks begin")
    parts: list[int] = Field(description="with a verdict")
    good: list[int]
    review: list[int]
    reject: list[int]
    errors: list[int]
    centre: float | None = Field(description="centre line of the p-chart")
    share: list[float | None]
    low: list[float | None] = Field(description="lower 3-sigma limit for the period's parts")
    high: list[float | None]
    outside: list[bool]
    few: list[bool] = Field(description="fewer than 5 are expected: the limits are coarse")
    scores: list[list[float] | None] = Field(description="quantiles 5, 25, 50, 75 and 95 %")
    latency: list[list[float] | None] = Field(description="quantiles 50, 95, 99 %, milliseconds")


class LineShare(BaseModel):
    """Numbers of one line; `line` is empty for parts without one."""

    line: str
    parts: int
    rejected: Share
    flagged: Share
    errors: int
    defects: int


@dataclass(frozen=True)
class Wanted:
    """Which numbers: of a product, from `start` on and before `end`, whole hours, of one line."""

    product_id: int
    start: int
    end: int
    line: str | None = None


def default_step(start: int, end: int) -> Step:
    """Return the step that gives a chart some 24 to 200 points."""
    length = end - start
    if length <= 8 * DAY:
        return "hour"
    return "day" if length <= 200 * DAY else "week"


def read(session: Session, wanted: Wanted) -> Counts:
    """Return the rows of all hours in question, oldest first."""
    first = wanted.start - wanted.start % HOUR
    table = HourCount.__table__
    query = select(table).where(table.c.product_id == wanted.product_id)
    query = query.where(table.c.hour >= first, table.c.hour < wanted.end)
    if wanted.line is not None:
        query = query.where(table.c.line == wanted.line)
    return session.execute(query.order_by(table.c.hour)).all()


def series(rows: Counts, step: Step, zone: str, measure: Measure = "reject") -> Series:
    """Gather rows of hours into periods; an unknown time zone counts as UTC, as `zone` says."""
    known, tz = _zone(zone)
    groups: dict[int, list[Any]] = {}
    for row in rows:
        groups.setdefault(_beginning(row.hour, step, tz), []).append(row)
    at = _without_gaps(sorted(groups), step, tz)
    members = [groups.get(one, []) for one in at]
    sums = {
        word: [sum(getattr(row, word) for row in group) for group in members]
        for word in ("good", "review", "reject", "errors")
    }
    parts = [sum(one) for one in zip(sums["good"], sums["review"], sums["reject"], strict=True)]
    hits = sums["reject"]
    if measure == "flagged":
        hits = [a + b for a, b in zip(hits, sums["review"], strict=True)]
    chart = p_chart(hits, parts)
    return Series(
        step=step,
        at=at,
        zone=known,
        parts=parts,
        **sums,
        **vars(chart),
        scores=[_quantiles([row.scores for row in group], SCORE_SHARES) for group in members],
        latency=[_quantiles([row.latency for row in group], LATENCY_SHARES) for group in members],
    )


def lines(rows: Counts) -> list[LineShare]:
    """Return the numbers of each line."""
    groups: dict[str, list[Any]] = {}
    for row in rows:
        groups.setdefault(row.line, []).append(row)
    found = []
    for line, group in sorted(groups.items()):
        good, review, reject, errors, defects = (
            sum(getattr(row, word) for row in group)
            for word in ("good", "review", "reject", "errors", "defects")
        )
        parts = good + review + reject
        found.append(
            LineShare(
                line=line,
                parts=parts,
                rejected=Share.of(reject, parts),
                flagged=Share.of(reject + review, parts),
                errors=errors,
                defects=defects,
            )
        )
    return found


def _quantiles(histograms: list[bytes], shares: Sequence[float]) -> list[float] | None:
    return quantiles(merge(histograms), shares)


def _zone(name: str) -> tuple[str, tzinfo]:
    try:
        return name, ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # not a name, or not known on this machine
        return "UTC", UTC


def _beginning(hour: int, step: Step, tz: tzinfo) -> int:
    """Return when the period began that an hour belongs to."""
    if step == "hour":
        return hour
    local = datetime.fromtimestamp(hour // SECOND, tz)
    days = local.weekday() if step == "week" else 0
    first = (local - timedelta(days=days)).replace(hour=0, minute=0)
    return round(first.timestamp()) * SECOND


def _without_gaps(at: list[int], step: Step, tz: tzinfo) -> list[int]:
    """Return all periods from the first to the last, as long as they are not too many."""
    if not at:
        return []
    width = {"hour": HOUR, "day": DAY, "week": 7 * DAY}[step]
    if (at[-1] - at[0]) / width > _MOST:
        return at
    found = {*at}
    moment = at[0]
    while moment < at[-1]:
        moment = _beginning(moment + width + (0 if step == "hour" else 2 * HOUR), step, tz)
        found.add(moment)
    return sorted(found)
