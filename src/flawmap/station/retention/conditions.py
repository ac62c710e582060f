"""Which parts' files may be removed: conditions that the removal and its preview share."""

from __future__ import annotations

from sqlalchemy import ColumnElement, and_, exists, false, or_
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
    return [(days, and_(_has_verdict(verdict), Part.received_at < now() - days * _DAY))
            for verdict, days in days_of.items() if days is not None]  # fmt: skip


def any_too_old(settings: RetentionSettings) -> ColumnElement[bool]:
    """Return the condition that files of a part are too old."""
    return or_(false(), *(condition for _, condition in too_old(settings)))


def removable(settings: RetentionSettings) -> ColumnElement[bool]:
    """Return the condition that a part has files which nobody's review keeps."""
    stored = or_(Part.has_image, Part.has_map)
    if settings.reviewed_too:
        return stored
    other = aliased(Part)
    shared = exists().where(other.image == Part.image, other.reviewers > 0)
    return and_(stored, Part.reviewers == 0, ~shared)


def _has_verdict(verdict: str | None) -> ColumnElement[bool]:
    return Part.verdict.is_(None) if verdict is None else Part.verdict == verdict
