"""What settings of retention would remove now, without removing it."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from sqlalchemy import ColumnElement, and_, case, false, func, not_, or_, select, union_all
from sqlalchemy.orm import Session, aliased

from flawmap.station.database.tables import Part
from flawmap.station.retention.conditions import removable, too_old
from flawmap.station.retention.settings import RetentionSettings, size_of, stored_bytes


class Removal(NamedTuple):
    """Number of parts whose files would go, and the size of the files that no other part has."""

    parts: int
    bytes: int


def preview(session: Session, settings: RetentionSettings) -> Removal:
    """Return what is removed within minutes of putting these settings in force."""
    old = _by_age(session, settings)
    if settings.megabytes is None:
        return old
    beyond = stored_bytes(session) - old.bytes - settings.megabytes * 10**6
    more = _by_size(session, settings, beyond) if beyond > 0 else Removal(0, 0)
    return Removal(old.parts + more.parts, old.bytes + more.bytes)


def _by_age(session: Session, settings: RetentionSettings) -> Removal:
    conditions = [and_(condition, removable(settings)) for _, condition in too_old(settings)]
    if not conditions:
        return Removal(0, 0)
    each = union_all(*(select(Part.image).where(one) for one in conditions)).subquery()
    going = select(each.c.image, func.count().label("parts")).group_by(each.c.image).subquery()
    other = aliased(Part)
    stored = (other.image == going.c.image, other.has_image)
    all_go = going.c.parts == select(func.count()).where(*stored).scalar_subquery()
    size = select(func.max(size_of(other))).where(*stored).scalar_subquery()
    total = select(func.sum(going.c.parts), func.sum(case((all_go, size), else_=0)))
    parts, freed = session.execute(total).one()
    return Removal(int(parts or 0), int(freed or 0))


def _by_size(session: Session, settings: RetentionSettings, beyond: int) -> Removal:
    """Go through the parts as the removal does: good ones first, then the oldest."""
    good_first = case((Part.verdict == "good", 0), else_=1)
    other = aliased(Part)
    stored = (other.image == Part.image, other.has_image)
    sharing = select(func.count()).where(*stored).scalar_subquery()
    query = (
        select(Part.image, size_of(Part), sharing)
        .where(removable(settings), not_(func.coalesce(_any_too_old(settings), False)))
        .order_by(good_first, Part.received_at, Part.id)
        .execution_options(yield_per=1000)
    )
    parts, freed, gone = 0, 0, Counter[str | None]()
    for image, size, shared in session.execute(query):
        if freed >= beyond:
            break
        parts, gone[image] = parts + 1, gone[image] + 1
        if gone[image] == shared:  # the last part that has it
            freed += size
    return Removal(parts, freed)


def _any_too_old(settings: RetentionSettings) -> ColumnElement[bool]:
    return or_(false(), *(condition for _, condition in too_old(settings)))
