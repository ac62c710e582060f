"""One-time links: the first administrator's, and those with which people set a password."""

from __future__ import annotations

from sqlalchemy import Select, delete, select
from sqlalchemy.orm import Session

from flawmap.station.context import Station
from flawmap.station.database.tables import OneTimeLink, User
from flawmap.station.database.tables.base import now
from flawmap.station.refusals import RefusedError
from flawmap.station.security.secrets import new_token, token_digest

HOURS = 24
_LIFETIME = HOURS * 3600 * 1_000_000


def has_administrator(session: Session) -> bool:
    """Whether somebody can log in as an administrator."""
    return session.scalar(_administrators().limit(1)) is not None


def first_start_link(station: Station, address: str) -> str | None:
    """Return the link that creates the first administrator; None if there is one already.

    `address` is the station's, such as ``http://127.0.0.1:8420``. An older link ends.
    """
    with station.database.write() as session:
        if has_administrator(session):
            return None
        return _setup_link(session, address)


def reset_link(station: Station, address: str) -> str:
    """Return a link that makes whoever opens it an administrator: only for the machine's owner."""
    with station.database.write() as session:
        return _setup_link(session, address)


def password_link(session: Session, user: User, address: str) -> str:
    """Return a link with which this user sets a password; an older one ends."""
    session.execute(delete(OneTimeLink).where(OneTimeLink.user_id == user.id))
    return f"{address.rstrip('/')}/password/{_new_link(session, user.id)}"


def open_link(session: Session, token: str, *, for_setup: bool) -> OneTimeLink:
    """Return a link that can be used. Raises RefusedError (404) if it was used or has ended."""
    link = session.get(OneTimeLink, token_digest(token))
    if link is None or link.expires_at <= now() or (link.user_id is None) != for_setup:
        raise RefusedError("This link was used already, or has ended. Ask for a new one.", 404)
    return link


def administrator_names(session: Session) -> list[str]:
    """Return the names of all who can log in as an administrator."""
    return [user.name for user in session.scalars(_administrators().order_by(User.name))]


def _administrators() -> Select[User]:
    return select(User).where(
        User.role == "administrator", User.disabled_at.is_(None), User.password != ""
    )


def _setup_link(session: Session, address: str) -> str:
    session.execute(delete(OneTimeLink).where(OneTimeLink.user_id.is_(None)))
    return f"{address.rstrip('/')}/setup/{_new_link(session, None)}"


def _new_link(session: Session, user_id: int | None) -> str:
    token = new_token()
    session.add(
        OneTimeLink(
            token=token_digest(token),
            user_id=user_id,
            created_at=now(),
            expires_at=now() + _LIFETIME,
        )
    )
    return token
