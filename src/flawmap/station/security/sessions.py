"""Logins of browsers: they last while they are used, and never longer than a week."""

from __future__ import annotations

from contextlib import suppress

from sqlalchemy import delete, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from flawmap.station.database.engine import Database
from flawmap.station.database.tables import LoginSession
from flawmap.station.database.tables.base import now
from flawmap.station.security.secrets import new_token, token_digest

_SECOND = 1_000_000
IDLE = 12 * 3600 * _SECOND  # a shift and its handover
LONGEST = 7 * 24 * 3600 * _SECOND
_STEP = 300 * _SECOND  # how often the end of a used session is moved
SHOWN_ID = 16  # digits of the digest that name a session in lists


def begin_session(session: Session, user_id: int, address: str, agent: str) -> str:
    """Log a user in; return the value of the cookie. Expired sessions are deleted on the way."""
    session.execute(delete(LoginSession).where(LoginSession.expires_at <= now()))
    cookie = new_token()
    session.add(
        LoginSession(
            token=token_digest(cookie),
            user_id=user_id,
            csrf=new_token(),
            created_at=now(),
            expires_at=now() + IDLE,
            address=address[:45],
            agent=agent[:200],
        )
    )
    return cookie


def keep_alive(database: Database, login: LoginSession) -> None:
    """Move the end of a session that is in use, at most until its absolute end.

    A database that cannot be written to now (a full disk) does not log anybody out.
    """
    ends = min(now() + IDLE, login.created_at + LONGEST)
    if ends - login.expires_at < _STEP:
        return
    mine = update(LoginSession).where(LoginSession.token == login.token)
    with suppress(SQLAlchemyError), database.write() as session:
        session.execute(mine.values(expires_at=ends))


def sessions_of(session: Session, user_id: int) -> list[LoginSession]:
    """Return the sessions of a user that have not expired, the newest first."""
    chosen = select(LoginSession).where(
        LoginSession.user_id == user_id, LoginSession.expires_at > now()
    )
    return list(session.scalars(chosen.order_by(LoginSession.created_at.desc())))


def end_session(session: Session, user_id: int, shown_id: str) -> int:
    """End one session of a user by the digits that lists show; return how many ended."""
    ended = [one for one in sessions_of(session, user_id) if one.token[:SHOWN_ID] == shown_id]
    for one in ended:
        session.delete(one)
    return len(ended)


def end_sessions(session: Session, user_id: int, but: str = "") -> None:
    """End all sessions of a user, but not the one whose cookie has this value."""
    chosen = delete(LoginSession).where(LoginSession.user_id == user_id)
    session.execute(chosen.where(LoginSession.token != token_digest(but)))
