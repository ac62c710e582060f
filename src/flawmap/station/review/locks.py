"""Locks: who has a part open for review. They expire, and another person may take one over."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from flawmap.station.database.tables import PartLock, User
from flawmap.station.database.tables.base import now

SECONDS = 90  # that a lock lives after it was refreshed; pages refresh it every 30 seconds


def hold(session: Session, part_ids: Iterable[int], user_id: int) -> list[int]:
    """Take or refresh locks; return the parts that this person has now.

    Those that another person has open are left out.
    """
    return [part_id for part_id in part_ids if _take(session, part_id, user_id, False)]


def take_over(session: Session, part_id: int, user_id: int) -> str | None:
    """Take a lock whoever has it; return the name of the person who had it, if another."""
    holder = holders(session, [part_id], user_id).get(part_id)
    _take(session, part_id, user_id, True)
    return holder


def release(session: Session, part_id: int, user_id: int) -> None:
    """Give a lock back; that of another person stays."""
    session.execute(
        delete(PartLock).where(PartLock.part_id == part_id, PartLock.user_id == user_id)
    )


def holders(session: Session, part_ids: Collection[int], user_id: int) -> dict[int, str]:
    """Return which parts other people have open, and their names."""
    query = (
        select(PartLock.part_id, User.name)
        .join(User, User.id == PartLock.user_id)
        .where(PartLock.part_id.in_(part_ids), *held_by_others(user_id))
    )
    return {row.part_id: row.name for row in session.execute(query)}


def held_by_others(user_id: int) -> tuple[Any, Any]:
    """Return conditions on locks that keep a person from a part."""
    return PartLock.until > now(), PartLock.user_id != user_id


def _take(session: Session, part_id: int, user_id: int, force: bool) -> bool:
    """Write the lock in one statement, so that of two people at once only one has it."""
    is_sqlite = session.get_bind().dialect.name == "sqlite"
    insert: Any = sqlite.insert if is_sqlite else postgresql.insert
    moment = now()
    values = {"user_id": user_id, "until": moment + SECONDS * 1_000_000}
    free = (PartLock.until <= moment) | (PartLock.user_id == user_id)
    statement = (
        insert(PartLock)
        .values(part_id=part_id, **values)
        .on_conflict_do_update(
            index_elements=[PartLock.part_id], set_=values, where=None if force else free
        )
        .returning(PartLock.part_id)
    )
    return session.scalar(statement) is not None
