"""Settings of retention, and the space that images take."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import ColumnElement, func, select
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
        None,
        ge=1,
        description="of images and maps in all: beyond it the oldest go, good ones first",
    )
    reviewed_too: bool = Field(False, description="also images that people decided on or drew on")


def read_settings(session: Session) -> RetentionSettings:
    """Return the settings in force."""
    kept = session.get(Kept, NAME)
    return RetentionSettings() if kept is None else RetentionSettings(**kept.values)


def write_settings(session: Session, settings: RetentionSettings) -> None:
    """Put other settings in force."""
    session.merge(Kept(name=NAME, values=settings.model_dump(), changed_at=now()))


def size_of(part: type[Part]) -> ColumnElement[int]:
    """Return the size of a part's image and map; 0 where it is not known."""
    return func.coalesce(part.bytes, 0) + func.coalesce(part.map_bytes, 0)


def stored_bytes(session: Session) -> int:
    """Return the size of all stored images and maps; of shared ones once."""
    size = func.max(size_of(Part)).label("bytes")
    one_each = select(size).where(Part.has_image).group_by(Part.image).subquery()
    return int(session.scalar(select(func.sum(one_each.c.bytes))) or 0)
