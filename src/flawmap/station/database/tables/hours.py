"""Table of hourly roll-ups: trends over a million parts read some thousand rows of it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from flawmap.station.database.tables.base import Base, Moment


class PartHour(Base):
    """Parts of one hour, product, line, model and settings, summed up as they were stored."""

    __tablename__ = "part_hours"
    __table_args__ = (Index(None, "hour"),)

    product_id: Mapped[int] = mapped_column(ForeignKey("products.id"), primary_key=True)
    hour: Mapped[Moment] = mapped_column(primary_key=True)  # its first microsecond
    line: Mapped[str] = mapped_column(String(100), primary_key=True)  # empty for none
    model: Mapped[str] = mapped_column(String(64), primary_key=True)
    settings: Mapped[str] = mapped_column(String(16), primary_key=True)
    good: Mapped[int] = mapped_column(default=0)
    review: Mapped[int] = mapped_column(default=0)
    reject: Mapped[int] = mapped_column(default=0)
    errors: Mapped[int] = mapped_column(default=0)
    defects: Mapped[int] = mapped_column(default=0)
    score_sum: Mapped[float] = mapped_column(default=0.0)
    score_squares: Mapped[float] = mapped_column(default=0.0)
    p_values: Mapped[list[Any]] = mapped_column(
        JSON().with_variant(JSONB, "postgresql")
    )  # counts in equal bins from 0 to 1
    total_ms: Mapped[float] = mapped_column(default=0.0)  # from receipt to verdict, summed
    slowest_ms: Mapped[float] = mapped_column(default=0.0)
