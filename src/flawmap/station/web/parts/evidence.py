"""All that explains the verdict of one part, in words where that helps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from flawmap.errors import FlawmapError
from flawmap.inspection.bundle.manifest import read_manifest, settings_id
from flawmap.station.database.tables import (
    DrawnDefect,
    Model,
    Part,
    Product,
    Review,
    SettingsVersion,
    User,
)


class HistoryEntry(NamedTuple):
    """One act of a reviewer, and who it was."""

    review: Review
    name: str


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

    @property
    def defects(self) -> int:
        """Number of drawn defects that stand."""
        return len(self.drawn)


def evidence_of(session: Session, part: Part) -> Evidence:
    """Collect the evidence of one part."""
    version = settings_of(session, part)
    values: dict[str, Any] = {} if version is None else version.values
    return Evidence(
        product=session.get_one(Product, part.product_id).name,
        reject=_number(values.get("reject")),
        review=_number(values.get("review")),
        pixel=_number(values.get("pixel")),
        version=None if version is None else version.number,
        statement=_statement(session, part, values),
        history=_history(session, part),
        drawn=_drawn(session, part),
    )


def settings_of(session: Session, part: Part) -> SettingsVersion | None:
    """Return the version of the settings that judged a part, if it was noted."""
    query = select(SettingsVersion).where(
        SettingsVersion.settings == part.settings, SettingsVersion.product_id == part.product_id
    )
    return session.scalar(query.order_by(SettingsVersion.number.desc()).limit(1))


def p_value_in_words(p_value: float) -> str:
    """Return what a p-value says, as one sentence.

    >>> p_value_in_words(0.015)
    'Of good parts, about 1.5 % score as high or higher.'
    """
    percent = 100.0 * p_value
    shown = f"{percent:.0f}" if percent >= 10 else f"{percent:.2g}"
    return f"Of good parts, about {shown} % score as high or higher."


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _statement(session: Session, part: Part, values: dict[str, Any]) -> str:
    """Return the guarantee of the settings that judged the part, if they are still known."""
    if isinstance(stored := values.get("statement"), str):
        return stored
    query = select(Model.folder).where(Model.product_id == part.product_id)
    for folder in session.scalars(query.order_by(Model.id.desc()).limit(5)):
        try:
            manifest = read_manifest(Path(folder))
        except FlawmapError:
            continue
        if settings_id(manifest) == part.settings:
            return manifest.calibration.statement()
    return "What these thresholds promise is not known any more: the run has other settings now."


def _history(session: Session, part: Part) -> list[HistoryEntry]:
    query = select(Review, User.name).join(User, User.id == Review.user_id)
    rows = session.execute(query.where(Review.part_id == part.id).order_by(Review.id))
    return [HistoryEntry(review, name) for review, name in rows]


def _drawn(session: Session, part: Part) -> Sequence[DrawnDefect]:
    query = select(DrawnDefect).where(DrawnDefect.part_id == part.id)
    return session.scalars(query.where(DrawnDefect.removed_by.is_(None))).all()
