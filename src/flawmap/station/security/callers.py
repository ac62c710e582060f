"""Who calls: the person or program behind a request, and what it may do."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, HTTPException, Request
from sqlalchemy import select
from sqlalchemy.orm import Session

from flawmap.station.context import StationOf
from flawmap.station.database.tables import ApiKey, LoginSession, User
from flawmap.station.database.tables.base import now
from flawmap.station.security.roles import Role, includes
from flawmap.station.security.secrets import token_digest

COOKIE = "flawmap_session"
CSRF_HEADER = "X-CSRF-Token"
CSRF_FIELD = "csrf"  # of a form without JavaScript
_SAFE = ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True)
class Caller:
    """A logged-in person, or a program with a key: it has the key's scopes as a word list."""

    name: str
    role: Role
    user_id: int
    csrf: str = ""
    key_id: int | None = None
    scopes: frozenset[str] = frozenset()


async def caller_of(request: Request, station: StationOf) -> Caller:
    """Return who calls; 401 without a valid session or key, 403 without the CSRF token."""
    header = request.headers.get("authorization", "")
    if header.lower().startswith("bearer "):
        caller = _by_key(station, header[7:].strip())
    else:
        caller = _by_session(station, request.cookies.get(COOKIE, ""))
        if caller is not None and request.method not in _SAFE:
            await _check_csrf(request, caller)
    if caller is None:
        raise HTTPException(401, "Log in, or send an API key as 'Authorization: Bearer KEY'.")
    return caller


def needs(role: Role, scope: str | None = None) -> Any:
    """Return the dependency that admits people of at least `role`, and keys with `scope`."""

    async def check(caller: Annotated[Caller, Depends(caller_of)]) -> Caller:
        if caller.key_id is not None:
            if scope is None or scope not in caller.scopes:
                raise HTTPException(403, f"This needs a key with the scope {scope or 'none has'}.")
        elif not includes(caller.role, role):
            raise HTTPException(403, f"This needs the role {role}; you are {caller.role}.")
        return caller

    return Depends(check)


Operator = Annotated[Caller, needs("operator")]
Engineer = Annotated[Caller, needs("engineer")]
Administrator = Annotated[Caller, needs("administrator")]
Inspecting = Annotated[Caller, needs("operator", "inspect")]
"""People who may send images, and keys with the scope `inspect`."""
Reading = Annotated[Caller, needs("operator", "read")]
"""People who may look at parts, and keys with the scope `read`."""


async def _check_csrf(request: Request, caller: Caller) -> None:
    token = request.headers.get(CSRF_HEADER)
    kind = request.headers.get("content-type", "")
    if token is None and kind.startswith("application/x-www-form-urlencoded"):
        form = await request.form()
        token = str(form.get(CSRF_FIELD, ""))
    if not hmac.compare_digest(token or "", caller.csrf):
        raise HTTPException(403, "The page has expired: load it again.")


def _by_session(station: StationOf, cookie: str) -> Caller | None:
    with station.database.read() as session:
        login = session.get(LoginSession, token_digest(cookie)) if cookie else None
        if login is None or login.expires_at <= now():
            return None
        return _caller(session, login.user_id, csrf=login.csrf)


def _by_key(station: StationOf, text: str) -> Caller | None:
    with station.database.read() as session:
        key = session.scalar(select(ApiKey).where(ApiKey.digest == token_digest(text)))
        if key is None or key.revoked_at is not None:
            return None
        if key.expires_at is not None and key.expires_at <= now():
            return None
        scopes = frozenset(key.scopes.split())
        return _caller(session, key.user_id, key_id=key.id, scopes=scopes)


def _caller(session: Session, user_id: int, **more: Any) -> Caller | None:
    user = session.get(User, user_id)
    if user is None or user.disabled_at is not None:
        return None
    return Caller(user.name, user.role, user.id, **more)  # type: ignore[arg-type]
