"""Which parts' files may be removed: conditions that the removal and its preview share."""

from __future__ import annotations

from sqlalchemy import ColumnElement, and_, exists, or_
from sqlalchemy.orm import aliased

from flawmap.station.database.tables import DrawnDefect, Part
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
    """Return the condition that a part has files which nobody's review keeps.

    A decision or a drawn defect keeps the files of all parts that show the same image.
    """
    if settings.reviewed_too:
        return and_(Part.has_image)
    other = aliased(Part)  # of the same image: the part itself, too
    drawn = exists(DrawnDefect.id).where(
        DrawnDefect.part_id == other.id, DrawnDefect.removed_by.is_(None)
    )
    kept = exists(other.id).where(other.image == Part.image, or_(other.reviewers > 0, drawn))
    return and_(Part.has_image, Part.reviewers == 0, ~kept)


def has_verdict(verdict: str | None) -> ColumnElement[bool]:
    """Return the condition that a part has a verdict; None for an error in its place."""
    return Part.verdict.is_(None) if verdict is None else Part.verdict == verdict
