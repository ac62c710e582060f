"""The outbox: messages in the database, from the part's own transaction until delivery."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

from sqlalchemy import ColumnElement, CursorResult, and_, delete, func, select, update
from sqlalchemy.orm import Session

from flawmap.station.database.engine import Database
from flawmap.station.database.tables import OutboxMessage, Part, Product, Sink
from flawmap.station.database.tables.base import now
from flawmap.station.delivery.message import Outgoing, outgoing, part_payload
from flawmap.station.delivery.settings import MqttSettings, WebhookSettings

KEPT = 24 * 3_600_000_000  # microseconds for which a delivered message stays
KEPT_GIVEN_UP = 30 * KEPT
_DELETED = 5000  # at once, so that nobody waits long for the database
_ERROR = 500  # characters
_Sinks = Mapping[int, WebhookSettings | MqttSettings]


class SinkState(NamedTuple):
    """How delivery to a sink goes; moments in microseconds since 1970."""

    backlog: int = 0
    delivered_at: int | None = None  # the last one
    message: int | None = None  # the one that waits and is sent next
    error: str | None = None  # of this message, if it failed
    attempts: int = 0
    next_at: int | None = None
    given_up: int = 0
    given_up_error: str | None = None  # of the last one


def add_for_parts(session: Session, rows: Sequence[Part], sinks: _Sinks, address: str) -> None:
    """Add the messages about new parts, in their transaction.

    A sink of `sinks` that was deleted or switched off since gets none.
    """
    present = _present(session, sinks)
    for part in rows:
        wanting = [key for key in present if sinks[key].wants(part.product_id, part.verdict)]
        if wanting:
            product = session.get_one(Product, part.product_id).name
            for sink_id in wanting:
                add(session, sink_id, part_payload(part, product, address), part.id)


def _present(session: Session, sinks: _Sinks) -> Sequence[int]:
    """Return which of these sinks are there and switched on; none is deleted until the commit."""
    switched_on = select(Sink.id).where(Sink.id.in_(sinks), Sink.disabled_at.is_(None))
    locked = switched_on.order_by(Sink.id).with_for_update(read=True, key_share=True)
    return session.scalars(locked).all()


def add(session: Session, sink_id: int, payload: dict[str, object], part_id: int | None) -> None:
    """Add one message."""
    moment = now()
    session.add(
        OutboxMessage(
            sink_id=sink_id,
            part_id=part_id,
            payload=payload,
            created_at=moment,
            next_at=moment,
            attempts=0,
            given_up=False,
        )
    )


def _waiting(sink_id: int) -> ColumnElement[bool]:
    return and_(OutboxMessage.sink_id == sink_id, OutboxMessage.ended_at.is_(None))


def next_messages(database: Database, sink_id: int, most: int) -> tuple[list[Outgoing], int]:
    """Return the oldest messages that wait, and when the first of them may be sent."""
    query = select(OutboxMessage).where(_waiting(sink_id)).order_by(OutboxMessage.id)
    with database.read() as session:
        rows = session.scalars(query.limit(most)).all()
    return [outgoing(row) for row in rows], rows[0].next_at if rows else 0


def note_delivered(session: Session, ids: Sequence[int]) -> None:
    """Mark messages as delivered."""
    ended = update(OutboxMessage).where(OutboxMessage.id.in_(ids))
    values = {"ended_at": now(), "attempts": OutboxMessage.attempts + 1}
    session.execute(ended.values(**values, error=None, given_up=False))


def note_failed(session: Session, row_id: int, error: str, next_at: int | None) -> None:
    """Note why a message failed, and when it is sent again; None: never, it is given up."""
    failed = update(OutboxMessage).where(OutboxMessage.id == row_id)
    values = {"error": error[:_ERROR], "attempts": OutboxMessage.attempts + 1}
    if next_at is None:
        session.execute(failed.values(**values, ended_at=now(), given_up=True))
    else:
        session.execute(failed.values(**values, next_at=next_at))


def retry_at_once(session: Session, sink_id: int) -> None:
    """Let the messages of a sink be tried now, such as after its settings were corrected."""
    session.execute(update(OutboxMessage).where(_waiting(sink_id)).values(next_at=now()))


def skip(session: Session, sink_id: int, row_id: int) -> bool:
    """Give a message up that waits and has failed; return whether it did so."""
    this = update(OutboxMessage).where(_waiting(sink_id), OutboxMessage.id == row_id)
    failed = this.where(OutboxMessage.error.is_not(None))
    found = session.execute(failed.values(ended_at=now(), given_up=True))
    return bool(cast(CursorResult[Any], found).rowcount)


def delete_old(database: Database, sink_id: int) -> bool:
    """Delete messages that ended long ago, except the last; return whether there may be more."""
    of_sink = OutboxMessage.sink_id == sink_id
    with database.write() as session:
        last = session.scalar(select(func.max(OutboxMessage.ended_at)).where(of_sink))
        old = (
            select(OutboxMessage.id)
            .where(
                of_sink,
                OutboxMessage.ended_at < min(now() - KEPT, last or 0),
                OutboxMessage.given_up.is_(False)
                | (OutboxMessage.ended_at < now() - KEPT_GIVEN_UP),
            )
            .limit(_DELETED)
        )
        ids = session.scalars(old).all()
        session.execute(delete(OutboxMessage).where(OutboxMessage.id.in_(ids)))
    return len(ids) == _DELETED


def delete_all(session: Session, sink_id: int) -> None:
    """Delete all messages of a sink."""
    session.execute(delete(OutboxMessage).where(OutboxMessage.sink_id == sink_id))


def sink_state(session: Session, sink_id: int) -> SinkState:
    """Return how delivery to a sink goes."""
    of_sink = OutboxMessage.sink_id == sink_id
    waiting, gone = _waiting(sink_id), (of_sink, OutboxMessage.given_up.is_(True))
    first = session.scalar(select(OutboxMessage).where(waiting).order_by(OutboxMessage.id).limit(1))
    last_gone = select(OutboxMessage.error).where(*gone).order_by(OutboxMessage.ended_at.desc())
    delivered = (of_sink, OutboxMessage.ended_at.is_not(None), OutboxMessage.given_up.is_(False))
    last = select(OutboxMessage.ended_at).where(*delivered)
    return SinkState(
        backlog=backlog(session, sink_id),
        delivered_at=session.scalar(last.order_by(OutboxMessage.ended_at.desc()).limit(1)),
        message=None if first is None else first.id,
        error=None if first is None else first.error,
        attempts=0 if first is None else first.attempts,
        next_at=None if first is None or first.error is None else first.next_at,
        given_up=session.scalar(select(func.count()).where(*gone)) or 0,
        given_up_error=session.scalar(last_gone.limit(1)),
    )


def backlog(session: Session, sink_id: int) -> int:
    """Return the number of messages that wait for a sink."""
    return session.scalar(select(func.count()).where(_waiting(sink_id))) or 0
