"""What settings of retention would remove now, without removing it."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from sqlalchemy import and_, case, func, not_, select
from sqlalchemy.orm import Session

from flawmap.station.database.tables import Part
from flawmap.station.retention.conditions import any_too_old, removable, too_old
from flawmap.station.retention.settings import RetentionSettings, stored_bytes


class Removal(NamedTuple):
    """Number of parts whose files would go, and the size of the images that no other part has."""

    parts: int
    bytes: int


def preview(session: Session, settings: RetentionSettings) -> Removal:
    """Return what is removed within minutes of putting these settings in force."""
    old = _by_age(session, settings) if too_old(settings) else Removal(0, 0)
    if settings.megabytes is None:
        return old
    beyond = stored_bytes(session) - old.bytes - settings.megabytes * 10**6
    more = _by_size(session, settings, beyond)
    return Removal(old.parts + more.parts, old.bytes + more.bytes)


def _by_age(session: Session, settings: RetentionSettings) -> Removal:
    going = func.sum(case((and_(any_too_old(settings), removable(settings)), 1), else_=0))
    images = (
        select(func.max(Part.bytes).label("bytes"), func.count().label("all"), going.label("going"))
        .where(Part.has_image)
        .group_by(Part.image)
    ).subquery()
    whole = func.sum(case((images.c.going == images.c.all, images.c.bytes), else_=0))
    row = session.execute(select(func.sum(images.c.going), whole)).one()
    return Removal(int(row[0] or 0), int(row[1] or 0))


def _by_size(session: Session, settings: RetentionSettings, beyond: int) -> Removal:
    """Go through the parts as the removal does: good ones first, then the oldest."""
    good_first = case((Part.verdict == "good", 0), else_=1)
    sharing = func.count().over(partition_by=Part.image)
    query = (
        select(Part.image, Part.bytes, sharing)
        .where(removable(settings), not_(func.coalesce(any_too_old(settings), False)))
        .order_by(good_first, Part.received_at, Part.id)
        .execution_options(yield_per=1000)
    )
    parts, freed, gone = 0, 0, Counter[str | None]()
    if beyond > 0:
        for image, size, shared in session.execute(query):
            if freed >= beyond:
                break
            parts, gone[image] = parts + 1, gone[image] + 1
            if gone[image] == shared:  # the last part that has it
                freed += size or 0
    return Removal(parts, freed)
