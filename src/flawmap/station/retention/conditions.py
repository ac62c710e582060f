"""Which parts' files may be removed: conditions that the removal and its preview share."""

from __future__ import annotations

from sqlalchemy import ColumnElement, and_, exists
from sqlalchemy.orm import aliased

from flawmap.station.database.tables import Part
from flawmap.station.database.tables.base import now
from flawmap.station.retention.settings import RetentionSettings

_DAY = 24 * 3_600_000_000  # microseconds


def too_old(settings: RetentionSettings) -> list[tuple[int, ColumnElement[bool]]]:
    """Return the days after which files of a verdict go, and which parts are older."""
    days_of = {
        "good": settings.good_days,
        "review": settings.review_days,
        "reject": settings.reject_days,
        None: settings.error_days,
    }
    return [(days, and_(has_verdict(verdict), Part.received_at < now() - days * _DAY))
            for verdict, days in days_of.items() if days is not None]  # fmt: skip


def removable(settings: RetentionSettings) -> ColumnElement[bool]:
    """Return the condition that a part has files which nobody's review keeps."""
    if settings.reviewed_too:
        return and_(Part.has_image)
    other = aliased(Part)
    shared = exists().where(other.image == Part.image, other.reviewers > 0)
    return and_(Part.has_image, Part.reviewers == 0, ~shared)


def has_verdict(verdict: str | None) -> ColumnElement[bool]:
    """Return the condition that a part has a verdict; None for an error in its place."""
    return Part.verdict.is_(None) if verdict is None else Part.verdict == verdict
