"""Tables of reviews: an append-only history, drawn defects, and who has a part open."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from flawmap.station.database.tables.base import Base, Id, JsonObject, Moment


class Review(Base):
    """One act of a reviewer on a part; rows are added and never changed.

    `action` is `decide` (with a decision), `undo` (of `undoes`), `draw` or `erase` (of a defect).
    """

    __tablename__ = "reviews"
    __table_args__ = (Index(None, "part_id", "id"), Index(None, "user_id", "created_at"))

    id: Mapped[Id]
    part_id: Mapped[int] = mapped_column(ForeignKey("parts.id"))
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[Moment]
    action: Mapped[str] = mapped_column(String(6))
    decision: Mapped[str | None] = mapped_column(String(6))  # good, reject, unsure
    before: Mapped[str | None] = mapped_column(String(6))  # the part's decision until then
    comment: Mapped[str | None] = mapped_column(Text)
    undoes: Mapped[int | None] = mapped_column(ForeignKey("reviews.id"))


class DrawnDefect(Base):
    """A defect drawn or confirmed by a reviewer, as a polygon or a brush mask."""

    __tablename__ = "drawn_defects"

    id: Mapped[Id]
    part_id: Mapped[int] = mapped_column(ForeignKey("parts.id"), index=True)
    review_id: Mapped[int] = mapped_column(ForeignKey("reviews.id"))  # that drew it
    removed_by: Mapped[int | None] = mapped_column(ForeignKey("reviews.id"))
    type: Mapped[str] = mapped_column(String(60))  # defect type, by name
    shape: Mapped[str] = mapped_column(String(7))  # polygon or mask
    geometry: Mapped[JsonObject]  # points in image pixels, or the mask's run lengths
    area: Mapped[int]  # image pixels
    created_at: Mapped[Moment]


class PartLock(Base):
    """Who has a part open for review, and until when others leave it alone."""

    __tablename__ = "part_locks"

    part_id: Mapped[int] = mapped_column(ForeignKey("parts.id"), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    until: Mapped[Moment]
