"""What reviewers found in a range: error rates, and defects by their type and line."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from flawmap.station.database.tables import DrawnDefect, Part
from flawmap.station.insight.errors import ErrorRates
from flawmap.station.insight.sampling import ONE_IN, in_sample
from flawmap.station.insight.trends.series import Counts, Wanted

_VERDICTS, _DECISIONS = ("good", "review", "reject"), ("good", "reject")


class Reviewed(BaseModel):
    """Errors of the inspector among reviewed parts, in all of them and in the random sample.

    Reviewers mostly see parts near the thresholds, so that `all` is no estimate for the line; in
    the sample a part is chosen regardless of its score.
    """

    one_in: int = Field(ONE_IN, description="parts of which one is in the sample")
    sample_parts: int = Field(description="parts of the sample in the range, with a verdict")
    sample_reviewed: int
    reviewed: int
    sample: ErrorRates
    all: ErrorRates


class DefectType(BaseModel):
    """Defects of one type that reviewers drew or confirmed, by line ("" for none)."""

    type: str
    line: str
    parts: int
    defects: int
    largest: int = Field(description="area in image pixels")


def reviewed(session: Session, wanted: Wanted, rows: Counts) -> Reviewed:
    """Return the error rates among the reviewed parts of a range; `rows`: those of its hours."""
    decided = [*_within(wanted), Part.decision.in_(_DECISIONS), Part.verdict.is_not(None)]
    sampled = in_sample().label("sampled")
    query = select(Part.verdict, Part.decision, sampled, func.count()).where(*decided)
    query = query.group_by(Part.verdict, Part.decision, sampled)
    everything = [[0, 0] for _ in _VERDICTS]
    sample = [[0, 0] for _ in _VERDICTS]
    for verdict, decision, is_sampled, count in session.execute(query):
        row, column = _VERDICTS.index(verdict), _DECISIONS.index(decision)
        everything[row][column] += count
        if is_sampled:
            sample[row][column] += count
    return Reviewed(
        sample_parts=sum(row.sampled for row in rows),
        sample_reviewed=sum(map(sum, sample)),
        reviewed=sum(map(sum, everything)),
        sample=ErrorRates.of(sample),
        all=ErrorRates.of(everything),
    )


def _within(wanted: Wanted) -> list[Any]:
    found: list[Any] = [
        Part.product_id == wanted.product_id,
        Part.received_at >= wanted.start,
        Part.received_at < wanted.end,
    ]
    return found if wanted.line is None else [*found, Part.line == wanted.line]


def defect_types(session: Session, wanted: Wanted) -> list[DefectType]:
    """Return the defects that stand, by type and line, the most frequent first."""
    drawn, line = DrawnDefect, func.coalesce(Part.line, "")
    number = func.count()
    columns = (drawn.type, line, func.count(Part.id.distinct()), number, func.max(drawn.area))
    query = select(*columns).join(Part, Part.id == drawn.part_id).where(*_within(wanted))
    query = query.where(drawn.removed_by.is_(None)).group_by(drawn.type, line)
    rows = session.execute(query.order_by(number.desc(), drawn.type, line)).all()
    names = ("type", "line", "parts", "defects", "largest")
    return [DefectType(**dict(zip(names, row, strict=True))) for row in rows]
