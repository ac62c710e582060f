"""Comparison of a candidate with the model in force: tables, error rates, and where they differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, Field
from sqlalchemy import ColumnElement, Select, and_, case, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from flawmap.station.database.tables import Part, TrialVerdict
from flawmap.station.insight.errors import ErrorRates

VERDICTS, DECISIONS = ("good", "review", "reject"), ("good", "reject")
Kind = Literal["compared", "shadow"]


class Judged(BaseModel):
    """What one model said of reviewed parts."""

    table: list[list[int]] = Field(
        description="parts by verdict (good, review, reject) and by decision (good, reject)"
    )
    rates: ErrorRates


class Comparison(BaseModel):
    """A candidate and the model in force on the same parts."""

    parts: int = Field(description="judged by both")
    reviewed: int = Field(description="of these, with a decision of a reviewer")
    present: Judged
    candidate: Judged
    verdicts: list[list[int]] = Field(
        description="all parts by the present model's verdict and by the candidate's"
    )
    only_candidate_right: int = Field(
        description="reviewed parts on which the present model errs and the candidate does not; "
        "`review` is no error"
    )
    only_present_right: int


def compare(session: Session, model_id: int, kind: Kind) -> Comparison:
    """Return how a model and the one in force did on the same parts, by the decisions of now."""
    trial = TrialVerdict
    columns = (trial.present, trial.verdict, Part.decision)
    query = _trials(model_id, kind).with_only_columns(*columns, func.count()).group_by(*columns)
    tables = {name: [[0, 0] for _ in VERDICTS] for name in ("present", "candidate")}
    verdicts = [[0, 0, 0] for _ in VERDICTS]
    right = {"candidate": 0, "present": 0}
    for present, candidate, decision, count in session.execute(query):
        row, column = VERDICTS.index(present), VERDICTS.index(candidate)
        verdicts[row][column] += count
        if decision not in DECISIONS:
            continue
        decided = DECISIONS.index(decision)
        tables["present"][row][decided] += count
        tables["candidate"][column][decided] += count
        if _errs(present, decision) != _errs(candidate, decision):
            right["candidate" if _errs(present, decision) else "present"] += count
    judged = {n: Judged(table=one, rates=ErrorRates.of(one)) for n, one in tables.items()}
    return Comparison(
        parts=sum(map(sum, verdicts)),
        reviewed=sum(map(sum, tables["present"])),
        verdicts=verdicts,
        only_candidate_right=right["candidate"],
        only_present_right=right["present"],
        **judged,
    )


def _errs(verdict: str, decision: str) -> bool:
    return (verdict, decision) in (("good", "reject"), ("reject", "good"))


def disagreements(
    session: Session, model_id: int, kind: Kind, most: int = 48
) -> Sequence[tuple[Part, TrialVerdict]]:
    """Return parts of which the models say different things, those first where one errs."""
    trial = TrialVerdict

    def errs(verdict: InstrumentedAttribute[str]) -> ColumnElement[bool]:
        return or_(
            and_(verdict == "good", Part.decision == "reject"),
            and_(verdict == "reject", Part.decision == "good"),
        )

    wrong = case((or_(errs(trial.present), errs(trial.verdict)), 0), else_=1)
    query = _trials(model_id, kind).where(trial.verdict != trial.present)
    rows = session.execute(query.order_by(wrong, Part.id.desc()).limit(most))
    return [(row[0], row[1]) for row in rows]


def _trials(model_id: int, kind: Kind) -> Select[Part, TrialVerdict]:
    joined = select(Part, TrialVerdict).join(TrialVerdict, TrialVerdict.part_id == Part.id)
    return joined.where(TrialVerdict.model_id == model_id, TrialVerdict.kind == kind)
