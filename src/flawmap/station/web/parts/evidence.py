"""All that explains the verdict of one part, in words where that helps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from flawmap.errors import FlawmapError
from flawmap.inspection.conformal import Calibration
from flawmap.station.database.tables import DrawnDefect, Part, Product, Review, User
from flawmap.station.insight.versions import settings_of, versions_of

_UNKNOWN = "The version of the settings that judged this part was not noted."


class HistoryEntry(NamedTuple):
    """One act of a reviewer, and who it was."""

    review: Review
    name: str


class Judging(NamedTuple):
    """The thresholds that judged a part, and the number of their version."""

    calibration: Calibration
    version: int


@dataclass(frozen=True)
class Evidence:
    """What the part's page shows besides its images; thresholds are None where not known."""

    product: str
    reject: float | None
    review: float | None
    pixel: float | None
    version: int | None
    statement: str
    history: Sequence[HistoryEntry]
    drawn: Sequence[DrawnDefect]


def evidence_of(session: Session, part: Part) -> Evidence:
    """Collect the evidence of one part."""
    judging = judging_of(session, part)
    limits = None if judging is None else judging.calibration
    return Evidence(
        product=session.get_one(Product, part.product_id).name,
        reject=None if limits is None else limits.reject.value,
        review=None if limits is None else limits.review.value,
        pixel=None if limits is None else limits.pixel.value,
        version=None if judging is None else judging.version,
        statement=_UNKNOWN if limits is None else limits.statement(),
        history=_history(session, part),
        drawn=_drawn(session, part),
    )


def judging_of(session: Session, part: Part) -> Judging | None:
    """Return the thresholds that judged a part, or None if their version is not known."""
    for version in versions_of(session, part.product_id):
        if part.settings not in version.values.get("ids", {}).values():
            continue
        try:
            calibration = settings_of(version).calibration_named(part.settings)
        except FlawmapError:
            continue
        if calibration is not None:
            return Judging(calibration, version.number)
    return None


def p_value_in_words(p_value: float) -> str:
    """Return what a p-value says, as one sentence.

    >>> p_value_in_words(0.015)
    'Of good parts, at most about 1.5 % score as high or higher.'
    """
    percent = 100.0 * p_value
    shown = f"{percent:.0f}" if percent >= 10 else f"{percent:.2g}"
    return f"Of good parts, at most about {shown} % score as high or higher."


def _history(session: Session, part: Part) -> list[HistoryEntry]:
    query = select(Review, User.name).join(User, User.id == Review.user_id)
    rows = session.execute(query.where(Review.part_id == part.id).order_by(Review.id))
    return [HistoryEntry(review, name) for review, name in rows]


def _drawn(session: Session, part: Part) -> Sequence[DrawnDefect]:
    query = select(DrawnDefect).where(DrawnDefect.part_id == part.id)
    return session.scalars(query.where(DrawnDefect.removed_by.is_(None))).all()
