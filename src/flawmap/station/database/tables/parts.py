"""Table of inspected parts: one row each, with all that a search needs."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index, LargeBinary, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from flawmap.station.database.tables.base import Base, Id, JsonObject, Moment

_OPEN, _ONCE = text("decision IS NULL"), text("reviewers = 1")
_DECIDED, _DEFECTIVE = text("decision IS NOT NULL"), text("largest_area IS NOT NULL")
# A search reads these columns from the index alone: rows are wide, and reading them costs most.
_SEARCHED = ("line", "number", "decision", "score", "p_value", "largest_area")
_Pattern = bytes  # the class has a column of that name


class Part(Base):
    """One image of a part: its verdict with evidence, or why there is none; never deleted alone.

    `record` is the InspectionRecord. Other columns repeat what is searched for. `decision` is what
    the last review said: the reviews themselves are append-only.
    """

    __tablename__ = "parts"
    __table_args__ = (
        Index("ix_parts_time", "received_at", "id", "product_id", "verdict", *_SEARCHED),
        Index("ix_parts_product", "product_id", "received_at", "id", "verdict", *_SEARCHED),
        Index("ix_parts_verdict", "verdict", "received_at", "id", "product_id", *_SEARCHED),
        # a search tries these first, in case few parts fulfil its condition: parts.conditions
        Index(  # searches in the order of scores read the other columns here
            "ix_parts_score",
            *("score", "id", "product_id", "verdict", "received_at", "line", "decision"),
        ),
        Index("ix_parts_line", "line", "id"),
        Index("ix_parts_source", "source", "id"),
        Index(
            "ix_parts_area",
            *("largest_area", "id"),
            sqlite_where=_DEFECTIVE,
            postgresql_where=_DEFECTIVE,
        ),
        Index(
            "ix_parts_decision",
            *("decision", "received_at", "id"),
            sqlite_where=_DECIDED,
            postgresql_where=_DECIDED,
        ),
        Index(None, "number", "received_at", "id"),
        # sizes of stored images, and whether somebody reviewed one that parts share
        Index("ix_parts_image", "image", "has_image", "bytes", "map_bytes", "reviewers"),
        Index(  # what retention may remove
            "ix_parts_stored",
            *("verdict", "received_at", "id", "reviewers"),
            sqlite_where=text("has_image = 1"),
            postgresql_where=text("has_image"),
        ),
        Index(  # error rates from the index alone; only reviewed parts are in it
            "ix_parts_reviewed",
            "product_id",
            "received_at",
            "decision",
            "verdict",
            "line",
            "image",
            sqlite_where=text("decision IS NOT NULL"),
            postgresql_where=text("decision IS NOT NULL"),
        ),
        # the review queue: open parts nearest to the threshold or oldest, and second looks
        Index(
            "ix_parts_open_p",
            *("verdict", "product_id", "p_value", "id"),
            sqlite_where=_OPEN,
            postgresql_where=_OPEN,
        ),
        Index(
            "ix_parts_open_at",
            *("verdict", "received_at", "id"),
            sqlite_where=_OPEN,
            postgresql_where=_OPEN,
        ),
        Index("ix_parts_once", "decided_at", "id", sqlite_where=_ONCE, postgresql_where=_ONCE),
    )

    id: Mapped[Id]
    key: Mapped[str | None] = mapped_column(
        String(100), unique=True
    )  # the client's, so that a request that is sent again is not inspected again
    product_id: Mapped[int] = mapped_column(ForeignKey("products.id"))
    received_at: Mapped[Moment]
    number: Mapped[str | None] = mapped_column(
        String(200).with_variant(String(200, collation="C"), "postgresql")
    )  # the part's, by the client; compared by code points, so that an index finds prefixes
    line: Mapped[str | None] = mapped_column(String(100))
    source: Mapped[str] = mapped_column(String(200))  # http, folder:NAME, camera:NAME, ...
    fields: Mapped[JsonObject]  # operator-supplied: str -> str

    verdict: Mapped[str | None] = mapped_column(String(6))  # good, review, reject; none: error
    score: Mapped[float | None]
    p_value: Mapped[float | None]
    defects: Mapped[int | None]
    largest_area: Mapped[int | None]  # of a defect, in image pixels
    error: Mapped[str | None] = mapped_column(Text)
    record: Mapped[JsonObject]
    model: Mapped[str] = mapped_column(String(64))
    settings: Mapped[str] = mapped_column(String(16))

    image: Mapped[str | None] = mapped_column(String(64))  # SHA-256 of the file's bytes
    suffix: Mapped[str | None] = mapped_column(String(10))  # of the stored image: .png, ...
    bytes: Mapped[int | None]
    width: Mapped[int | None]
    height: Mapped[int | None]
    has_image: Mapped[bool]
    has_map: Mapped[bool]  # only with an image
    map_bytes: Mapped[int | None]  # of the stored map
    pattern: Mapped[_Pattern | None] = mapped_column(
        LargeBinary(64)
    )  # where the map is high, in 64 cells: what the order of reviews compares
    note: Mapped[str | None] = mapped_column(Text)  # why the image or map is not stored

    waited_ms: Mapped[float | None]  # in the queue
    total_ms: Mapped[float | None]  # from receipt to verdict

    decision: Mapped[str | None] = mapped_column(String(6))  # good, reject, unsure; none: open
    decided_at: Mapped[Moment | None]
    decided_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    reviewers: Mapped[int] = mapped_column(default=0)  # people whose review stands
