"""API of trends: rates, scores and latency over time, errors found by reviewers, and drift."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from flawmap.station.api.thresholds import product_of
from flawmap.station.context import Station, StationOf
from flawmap.station.insight.drift.shown import DriftShown, shown
from flawmap.station.insight.drift.watch import drift_of
from flawmap.station.insight.trends.reviewed import DefectType, Reviewed, defect_types, reviewed
from flawmap.station.insight.trends.series import (
    LineShare,
    Measure,
    Series,
    Step,
    Wanted,
    default_step,
    lines,
    read,
    series,
)
from flawmap.station.security.callers import Managing, Reading

router = APIRouter(prefix="/api/v1/products/{product_id}", tags=["trends"])
_LAST = 2**53


class Asked(BaseModel):
    """Range and form of the series; hours are counted as a whole."""

    start: int = Field(0, ge=0, lt=_LAST, description="microseconds since 1970, UTC")
    end: int = Field(_LAST, ge=0, le=_LAST, description="before this moment")
    line: str | None = Field(None, max_length=100)
    step: Step | None = Field(None, description="default: by the length of the range")
    zone: str = Field("UTC", max_length=64, description="time zone of days, such as Europe/Berlin")
    measure: Measure = Field("reject", description="what the p-chart shows: flagged adds reviews")


class Trends(BaseModel):
    """All numbers of a range."""

    series: Series
    lines: list[LineShare]
    reviewed: Reviewed
    types: list[DefectType]


@router.get("/trends")
def product_trends(
    station: StationOf, _caller: Reading, product_id: int, asked: Annotated[Asked, Query()]
) -> Trends:
    """Return verdicts, scores and latency over time, and what reviewers found."""
    with station.database.read() as session:
        return trends_of(session, product_of(session, product_id).id, asked)


def trends_of(session: Session, product_id: int, asked: Asked) -> Trends:
    """Return the numbers of a product."""
    wanted = Wanted(product_id, asked.start, asked.end, asked.line)
    rows = read(session, wanted)
    step = asked.step or default_step(asked.start, min(asked.end, _last(rows, asked)))
    return Trends(
        series=series(rows, step, asked.zone, asked.measure),
        lines=lines(rows),
        reviewed=reviewed(session, wanted, rows),
        types=defect_types(session, wanted),
    )


def _last(rows: object, asked: Asked) -> int:
    found = rows[-1].hour if rows else asked.start  # type: ignore[index]
    return max(asked.start, int(found))


@router.get("/drift")
def product_drift(station: StationOf, _caller: Reading, product_id: int) -> DriftShown:
    """Return the drift test of a product's parts, up to about a second ago."""
    with station.database.read() as session:
        return drift_shown(station, session, product_of(session, product_id).id)


def drift_shown(station: Station, session: Session, product_id: int) -> DriftShown:
    """Return the drift tests of a product."""
    return shown(session, product_id, drift_of(station).of(product_id))


@router.post("/drift/restart", status_code=204)
def restart_drift(station: StationOf, caller: Managing, product_id: int) -> None:
    """Begin a new drift test with the next part, such as after an alarm was looked into."""
    with station.database.read() as session:
        product_of(session, product_id)
    drift_of(station).restart(product_id, caller)
