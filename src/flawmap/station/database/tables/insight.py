"""Tables of what the station concludes from its parts: numbers by the hour, tests for drift."""

from __future__ import annotations

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from flawmap.station.database.tables.base import Base, Id, JsonObject, Moment


class HourCount(Base):
    """Numbers of one product's parts of one line in one hour; `line` is "" for parts without one.

    `scores` and `latency` are histograms: see `insight.trends.bins`. They stay when retention
    removes parts.
    """

    __tablename__ = "hour_counts"

    product_id: Mapped[int] = mapped_column(ForeignKey("products.id"), primary_key=True)
    hour: Mapped[Moment] = mapped_column(primary_key=True)  # its beginning
    line: Mapped[str] = mapped_column(String(100), primary_key=True)
    good: Mapped[int]
    review: Mapped[int]
    reject: Mapped[int]
    errors: Mapped[int]  # images that could not be inspected
    defects: Mapped[int]  # found by the inspector
    sampled: Mapped[int]  # parts with a verdict in the random sample: see `insight.sampling`
    scores: Mapped[bytes] = mapped_column(LargeBinary)
    latency: Mapped[bytes] = mapped_column(LargeBinary)  # from receipt to verdict


class DriftTestRow(Base):
    """One drift test: of a product's parts that one model judged with one version of settings.

    It ends with its alarm, but stays open, so that people see it, until `ended_at`: when other
    settings took over or somebody started it again. `state` and `ordered` are what a restarted
    station needs to go on.
    """

    __tablename__ = "drift_tests"
    __table_args__ = (Index(None, "product_id", "started_at"),)

    id: Mapped[Id]
    product_id: Mapped[int] = mapped_column(ForeignKey("products.id"))
    model: Mapped[str] = mapped_column(String(64))
    settings: Mapped[str] = mapped_column(String(16))
    rate: Mapped[float]  # of false alarms
    started_at: Mapped[Moment]
    tested: Mapped[int]
    left_out: Mapped[int]  # parts that scored the reject threshold or more
    tested_at: Mapped[Moment]  # when the last of them was received
    state: Mapped[JsonObject]
    ordered: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)  # scores, zlib of float64
    curve: Mapped[JsonObject]  # points of the capital over time
    evidence: Mapped[float]  # highest capital
    impossible: Mapped[str | None] = mapped_column(String(300))  # why nothing can be tested
    alarm_part_id: Mapped[int | None] = mapped_column(BigInteger)
    alarm_at: Mapped[Moment | None]
    direction: Mapped[str | None] = mapped_column(String(6))
    ended_at: Mapped[Moment | None]
    ended_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))


class Cursor(Base):
    """How far a service has read the parts: all with this id or a lower one."""

    __tablename__ = "cursors"

    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    part_id: Mapped[int] = mapped_column(BigInteger)
