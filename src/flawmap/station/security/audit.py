"""The audit log: who changed what, written in the transaction of the change itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy.orm import Session

from flawmap.station.database.tables import AuditEntry
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
