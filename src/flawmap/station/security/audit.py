"""The audit log: who changed what, written in the transaction of the change itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from flawmap.station.database.tables import ApiKey, AuditEntry, User
from flawmap.station.database.tables.base import now

if TYPE_CHECKING:  # callers.py imports the database, not this
    from flawmap.station.security.callers import Caller

_SUBJECT = 200  # characters that the column holds


def record(
    session: Session, caller: Caller | None, action: str, subject: object, **details: Any
) -> None:
    """Add an entry to the audit log; it is stored if the transaction of `session` is.

    `action` names a thing and a verb, such as ``user.create``; `subject` is what was changed, by
    a name that people know. `details` are JSON types and never hold a secret. Without a caller the
    station itself, or somebody who is not logged in, did it.
    """
    session.add(
        AuditEntry(
            created_at=now(),
            user_id=caller.user_id if caller else None,
            key_id=caller.key_id if caller else None,
            action=action,
            subject=str(subject)[:_SUBJECT],
            details=details,
        )
    )


class Entry(NamedTuple):
    """An entry with names instead of ids."""

    id: int
    created_at: int
    user: str | None
    key: str | None
    action: str
    subject: str
    details: dict[str, Any]


def find_entries(
    session: Session, text: str = "", before: int | None = None, limit: int = 100
) -> Sequence[Entry]:
    """Return entries that contain `text`, the newest first, with ids below `before`."""
    entry = AuditEntry
    query = (
        select(
            entry.id,
            entry.created_at,
            User.name,
            ApiKey.name,
            entry.action,
            entry.subject,
            entry.details,
        )
        .outerjoin(User, User.id == entry.user_id)
        .outerjoin(ApiKey, ApiKey.id == entry.key_id)
        .order_by(entry.id.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(entry.id < before)
    if text:
        places = (entry.action, entry.subject, User.name, ApiKey.name)
        query = query.where(or_(*(one.icontains(text, autoescape=True) for one in places)))
    return [Entry(*row) for row in session.execute(query)]
