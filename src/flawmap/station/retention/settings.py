"""Settings of retention, and the space that images take."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from flawmap.station.database.tables import Kept, Part
from flawmap.station.database.tables.base import now

NAME = "retention"
Days = int | None


class RetentionSettings(BaseModel):
    """How long images and maps are kept; rows stay. None keeps them for ever."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    good_days: Days = Field(None, ge=1, le=36500, description="of parts with the verdict good")
    review_days: Days = Field(None, ge=1, le=36500, description="of parts sent to review")
    reject_days: Days = Field(None, ge=1, le=36500, description="of rejected parts")
    error_days: Days = Field(None, ge=1, le=36500, description="of what could not be inspected")
    megabytes: int | None = Field(
        None, ge=1, description="of images in all: beyond it the oldest go, good ones first"
    )
    reviewed_too: bool = Field(False, description="also images of parts that people reviewed")


def read_settings(session: Session) -> RetentionSettings:
    """Return the settings in force."""
    kept = session.get(Kept, NAME)
    return RetentionSettings() if kept is None else RetentionSettings(**kept.values)


def write_settings(session: Session, settings: RetentionSettings) -> None:
    """Put other settings in force."""
    session.merge(Kept(name=NAME, values=settings.model_dump(), changed_at=now()))


def stored_bytes(session: Session) -> int:
    """Return the size of all stored images; of shared ones once."""
    one_each = (
        select(func.max(Part.bytes).label("bytes")).where(Part.has_image).group_by(Part.image)
    ).subquery()
    return int(session.scalar(select(func.sum(one_each.c.bytes))) or 0)
