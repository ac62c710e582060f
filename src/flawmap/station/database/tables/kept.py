"""Table of settings that people change while the station runs, one row each."""

from __future__ import annotations

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from flawmap.station.database.tables.base import Base, JsonObject, Moment


class Kept(Base):
    """Settings of one kind, such as `retention`, as JSON."""

    __tablename__ = "kept"

    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    values: Mapped[JsonObject]
    changed_at: Mapped[Moment]
