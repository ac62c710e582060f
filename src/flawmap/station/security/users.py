"""People: created, disabled, given roles and passwords; one administrator always remains."""

from __future__ import annotations

import unicodedata

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from flawmap.station.database.tables import OneTimeLink, User
from flawmap.station.database.tables.base import now
from flawmap.station.refusals import RefusedError
from flawmap.station.security.audit import record
from flawmap.station.security.callers import Caller
from flawmap.station.security.passwords import check_password, hash_password, is_password
from flawmap.station.security.roles import Role
from flawmap.station.security.sessions import end_sessions

_LONGEST = 60


def clean_name(name: str) -> str:
    """Return a name as it is stored. Raises RefusedError if it is empty, too long or unprintable.

    >>> clean_name("  Anna   Maria ")
    'Anna Maria'
    """
    cleaned = " ".join(unicodedata.normalize("NFC", name).split())
    if not 1 <= len(cleaned) <= _LONGEST or not cleaned.isprintable():
        raise RefusedError(f"A name has 1 to {_LONGEST} printable characters.")
    return cleaned


def find_user(session: Session, name: str) -> User | None:
    """Return the user of this name, in capitals or not."""
    try:
        cleaned = clean_name(name)
    except RefusedError:
        return None
    found = select(User).where(func.lower(User.name) == cleaned.lower())
    return session.scalar(found) or session.scalar(select(User).where(User.name == cleaned))


def get_user(session: Session, user_id: int) -> User:
    """Return a user. Raises RefusedError (404) if there is none."""
    user = session.get(User, user_id)
    if user is None:
        raise RefusedError("There is no such user.", 404)
    return user


def create_user(session: Session, caller: Caller | None, name: str, role: Role) -> User:
    """Add a user without a password, who cannot log in yet. Raises RefusedError for a used name."""
    name = clean_name(name)
    if find_user(session, name) is not None:
        raise RefusedError(f"There is a user {name} already.", 409)
    user = User(name=name, password="", role=role, created_at=now())
    session.add(user)
    session.flush()
    record(session, caller, "user.create", name, role=role)
    return user


def change_role(session: Session, caller: Caller, user: User, role: Role) -> None:
    """Give a user another role. Raises RefusedError (409) for the last administrator."""
    if role == user.role:
        return
    _keep_an_administrator(session, user)
    record(session, caller, "user.role", user.name, before=user.role, after=role)
    user.role = role


def disable_user(session: Session, caller: Caller, user: User) -> None:
    """Lock a user out at once, with all sessions and keys of theirs."""
    if user.disabled_at is not None:
        return
    _keep_an_administrator(session, user)
    user.disabled_at = now()
    session.execute(delete(OneTimeLink).where(OneTimeLink.user_id == user.id))
    end_sessions(session, user.id)
    record(session, caller, "user.disable", user.name)


def enable_user(session: Session, caller: Caller, user: User) -> None:
    """Let a disabled user log in again."""
    if user.disabled_at is not None:
        user.disabled_at = None
        record(session, caller, "user.enable", user.name)


def make_administrator(session: Session, name: str, hashed: str) -> User:
    """Return the administrator of this name: created, or a user who is made one again."""
    user = find_user(session, name) or create_user(session, None, name, "administrator")
    user.role, user.disabled_at = "administrator", None
    store_password(session, user, hashed)
    record(session, None, "user.administrator", user.name, link=True)
    return user


def store_password(session: Session, user: User, hashed: str, but: str = "") -> None:
    """Set a password by its hash; ends links and sessions, but not that of the cookie `but`."""
    user.password = hashed
    session.execute(delete(OneTimeLink).where(OneTimeLink.user_id == user.id))
    end_sessions(session, user.id, but)


def new_password(password: str, name: str) -> str:
    """Return the hash of a new password. Raises RefusedError if it is too easy to guess."""
    check_password(password, name)
    return hash_password(password)


def changed_password(user: User, old: str, new: str) -> str:
    """Return the hash of a user's next password. Raises RefusedError if `old` is wrong."""
    if not is_password(user.password, old):
        raise RefusedError("The present password is wrong.", 403)
    return new_password(new, user.name)


def _keep_an_administrator(session: Session, user: User) -> None:
    """Refuse to take away the last one who can log in; other changes wait for this one."""
    chosen = select(User.id).where(
        User.role == "administrator", User.disabled_at.is_(None), User.password != ""
    )
    remaining = set(session.scalars(chosen.with_for_update())) - {user.id}
    if user.role == "administrator" and user.disabled_at is None and not remaining:
        raise RefusedError(f"{user.name} is the only administrator: make another one first.", 409)
