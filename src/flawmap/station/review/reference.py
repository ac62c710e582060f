"""A good part to compare with: the nearest in time of the same product."""

from __future__ import annotations

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from flawmap.station.database.tables import Part


def good_part_near(session: Session, part: Part) -> Part | None:
    """Return the good part whose image came nearest in time, if there is one.

    A part is good if people said so or, where nobody decided, if the inspector did.
    """
    at = Part.received_at
    good = or_(Part.decision == "good", Part.decision.is_(None) & (Part.verdict == "good"))
    query = select(Part).where(
        Part.product_id == part.product_id, Part.has_image.is_(True), good, Part.id != part.id
    )
    before = query.where(at <= part.received_at).order_by(at.desc(), Part.id.desc()).limit(1)
    after = query.where(at > part.received_at).order_by(at, Part.id).limit(1)
    found = [one for one in (session.scalar(before), session.scalar(after)) if one is not None]
    return min(found, key=lambda one: abs(one.received_at - part.received_at), default=None)
