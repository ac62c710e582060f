"""A drift test as people and programs see it."""

from __future__ import annotations

import math

from pydantic import BaseModel, Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from flawmap.station.database.tables import DriftTestRow, User
from flawmap.station.insight.drift.running import RATE, RunningTest

_SHOWN = 20


class DriftTestShown(BaseModel):
    """One drift test of a product."""

    started_at: int = Field(description="microseconds since 1970, UTC")
    settings: str = Field(description="that judged the parts")
    tested: int
    left_out: int = Field(description="parts that scored the reject threshold or more")
    evidence: float = Field(description="highest capital of the test's gambler")
    alarm_at: int | None
    alarm_part_id: int | None
    direction: str | None = Field(description="where the scores went: higher or lower")
    impossible: str | None = Field(description="why nothing can be tested")
    ended_at: int | None = Field(description="when other settings or a new test took over")
    ended_by: str | None = Field(description="who began a new one; none: the settings changed")


class DriftShown(BaseModel):
    """The open test of a product, its curve, and the tests before."""

    false_alarm_rate: float = Field(RATE, description="probability of ever raising an alarm")
    limit: float = Field(-math.log10(RATE), description="log10 of the capital at an alarm")
    test: DriftTestShown | None
    at: list[int] = Field(description="moments of the curve, microseconds since 1970")
    capital: list[float] = Field(description="log10 of the capital then")
    statement: str
    before: list[DriftTestShown]


def shown(session: Session, product_id: int, running: RunningTest | None) -> DriftShown:
    """Return the open test of a product and those before."""
    points = running.curve.drawn() if running is not None else []
    return DriftShown(
        test=None if running is None else _running(running),
        at=[at for at, _ in points],
        capital=[value for _, value in points],
        statement=_statement(running),
        before=_before(session, product_id),
    )


def _running(one: RunningTest) -> DriftTestShown:
    evidence = None if one.test is None else one.test.evidence
    return DriftTestShown(
        started_at=one.started_at,
        settings=one.settings,
        tested=one.tested,
        left_out=one.left_out,
        evidence=1.0 if evidence is None else evidence.value,
        alarm_at=None if one.alarm is None else one.alarm.received_at,
        alarm_part_id=None if one.alarm is None else one.alarm.id,
        direction=None if evidence is None else evidence.direction,
        impossible=one.impossible,
        ended_at=None,
        ended_by=None,
    )


def _before(session: Session, product_id: int) -> list[DriftTestShown]:
    query = select(DriftTestRow, User.name).outerjoin(User, User.id == DriftTestRow.ended_by)
    query = query.where(DriftTestRow.product_id == product_id, DriftTestRow.ended_at.is_not(None))
    rows = session.execute(query.order_by(DriftTestRow.started_at.desc()).limit(_SHOWN))
    same = ("started_at", "settings", "tested", "left_out", "evidence", "alarm_at")
    same += ("alarm_part_id", "direction", "impossible", "ended_at")  # type: ignore[assignment]
    return [
        DriftTestShown(**{name: getattr(row, name) for name in same}, ended_by=user)
        for row, user in rows
    ]


def _statement(running: RunningTest | None) -> str:
    """State the result in words, as `flawmap drift` does."""
    promise = f"If nothing changes, the probability of ever raising an alarm is at most {RATE:.0%}."
    if running is None:
        return f"No part was tested yet. {promise}"
    if running.impossible is not None:
        return f"Not tested. {running.impossible}"
    tested = f"{running.tested:,} parts tested, {running.left_out:,} rejected and left out"
    tested = tested.replace(",", "\u202f").replace("\u202f ", ", ")
    if running.alarm is None or running.test is None:
        return f"No alarm: {tested}. {promise}"
    return (
        f"Alarm: good parts score {running.test.evidence.direction} than those of the calibration "
        f"({tested}). {promise} Check camera, light and parts; if all are as they should be, train "
        "again with current parts, or calibrate on them."
    )
