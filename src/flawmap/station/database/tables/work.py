"""Tables of work to be done later: messages to other systems, and trainings."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from flawmap.station.database.tables.base import Base, Id, JsonObject, Moment


class Sink(Base):
    """Another system that is told of verdicts: a webhook or an MQTT broker."""

    __tablename__ = "sinks"

    id: Mapped[Id]
    name: Mapped[str] = mapped_column(String(60), unique=True)
    kind: Mapped[str] = mapped_column(String(7))  # webhook, mqtt
    settings: Mapped[JsonObject]  # URL, topic, which verdicts, secret, ...
    created_at: Mapped[Moment]
    disabled_at: Mapped[Moment | None]


class OutboxMessage(Base):
    """A message to a sink, written with the part's row and deleted some time after delivery.

    It waits until `ended_at`: when it was delivered, or, with `error` as the reason, given up.
    """

    __tablename__ = "outbox"
    __table_args__ = (Index(None, "sink_id", "ended_at", "id"),)

    id: Mapped[Id]
    sink_id: Mapped[int] = mapped_column(ForeignKey("sinks.id"))
    part_id: Mapped[int | None] = mapped_column(ForeignKey("parts.id"))
    payload: Mapped[JsonObject]
    created_at: Mapped[Moment]
    next_at: Mapped[Moment]
    attempts: Mapped[int] = mapped_column(default=0)
    ended_at: Mapped[Moment | None]
    given_up: Mapped[bool] = mapped_column(default=False)
    error: Mapped[str | None] = mapped_column(Text)


class SourceSettings(Base):
    """A watched folder or camera that brings parts of a product."""

    __tablename__ = "sources"

    id: Mapped[Id]
    name: Mapped[str] = mapped_column(String(60), unique=True)
    kind: Mapped[str] = mapped_column(String(6))  # folder, camera
    product_id: Mapped[int] = mapped_column(ForeignKey("products.id"))
    settings: Mapped[JsonObject]
    created_at: Mapped[Moment]
    disabled_at: Mapped[Moment | None]


class Job(Base):
    """A process that the station started: a training or a calibration."""

    __tablename__ = "jobs"

    id: Mapped[Id]
    product_id: Mapped[int] = mapped_column(ForeignKey("products.id"), index=True)
    kind: Mapped[str] = mapped_column(String(10))
    state: Mapped[str] = mapped_column(String(8))  # waiting, running, done, failed, stopped
    settings: Mapped[JsonObject]  # what it was started with
    folder: Mapped[str] = mapped_column(Text)
    message: Mapped[str | None] = mapped_column(Text)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    process: Mapped[int | None]
    created_at: Mapped[Moment]
    started_at: Mapped[Moment | None]
    ended_at: Mapped[Moment | None]
