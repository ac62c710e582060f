"""Who calls: the person or program behind a request, and what it may do."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

from fastapi import Depends, HTTPException, Request
from sqlalchemy import select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from flawmap.station.context import Station, StationOf
from flawmap.station.database.engine import Database
from flawmap.station.database.tables import ApiKey, LoginSession, User
from flawmap.station.database.tables.base import now
from flawmap.station.security.requests import is_on_this_machine
from flawmap.station.security.roles import Role, Scope, includes
from flawmap.station.security.secrets import token_digest
from flawmap.station.security.sessions import keep_alive

COOKIE = "flawmap_session"
CSRF_HEADER = "X-CSRF-Token"
CSRF_FIELD = "csrf"  # of a form without JavaScript
_SAFE = ("GET", "HEAD", "OPTIONS")
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
_MINUTE = 60_000_000
_LOG_IN = "Log in, or send an API key as 'Authorization: Bearer KEY'."


@dataclass(frozen=True)
class Caller:
    """A logged-in person, or a program with a key: it has the key's scopes as a word list."""

    name: str
    role: Role
    user_id: int
    csrf: str = ""
    key_id: int | None = None
    scopes: frozenset[str] = frozenset()


class Admission(NamedTuple):
    """Who may call a route: people of at least `role`, and keys with `scope` (None: no key)."""

    role: Role
    scope: Scope | None


async def known_caller(request: Request, station: Station) -> Caller | None:
    """Return who calls, or None without a valid session or key. No CSRF token is asked for."""
    key = _key(request)
    secret = request.cookies.get(COOKIE, "") if key is None else key
    if not secret:
        return None
    digest = token_digest(secret)
    name = digest if key is None else f"key {digest}"
    read = _by_session if key is None else _by_key
    caller = station.callers.get(name)
    if caller is None:
        caller = await run_in_threadpool(
            station.callers.load, name, lambda: read(station.database, digest)
        )
    return caller


async def caller_of(request: Request, station: StationOf) -> Caller:
    """Return who calls; 401 without a valid session or key, 403 without the CSRF token."""
    caller = await known_caller(request, station)
    if caller is None:
        raise HTTPException(401, _LOG_IN, {"WWW-Authenticate": "Bearer"})
    if caller.key_id is None and request.method not in _SAFE:
        await _check_csrf(request, caller)
    return caller


def needs(role: Role, scope: Scope | None = None) -> Any:
    """Return the dependency that admits people of at least `role`, and keys with `scope`.

    A key never does more than the person who made it may do.
    """

    async def check(caller: Annotated[Caller, Depends(caller_of)]) -> Caller:
        return _admitted(caller, role, scope)

    _admissions[check] = Admission(role, scope)
    return Depends(check)


def _admitted(caller: Caller, role: Role, scope: Scope | None) -> Caller:
    """Return the caller; 403 if it may not."""
    if caller.key_id is not None and (scope is None or scope not in caller.scopes):
        raise HTTPException(403, _no_key(scope))
    if not includes(caller.role, role):
        raise HTTPException(403, f"This needs the role {role}; you are {caller.role}.")
    return caller


async def _reading_here(request: Request, station: StationOf) -> Caller | None:
    """Return who calls, or None for a program on this machine that reads without a login."""
    if is_on_this_machine(request.scope, station.config):
        return None
    return _admitted(await caller_of(request, station), "operator", "read")


_admissions: dict[Callable[..., Any], Admission] = {}


def admission_by(dependency: Callable[..., Any] | None) -> Admission | None:
    """Return whom a dependency made by `needs` admits; None for any other function."""
    return _admissions.get(dependency) if dependency is not None else None


_admissions[_reading_here] = Admission("operator", "read")


Operator = Annotated[Caller, needs("operator")]
Engineer = Annotated[Caller, needs("engineer")]
Administrator = Annotated[Caller, needs("administrator")]
Inspecting = Annotated[Caller, needs("operator", "inspect")]
"""People who may send images, and keys with the scope `inspect`."""
Reading = Annotated[Caller, needs("operator", "read")]
"""People who may look at parts, and keys with the scope `read`."""
ReadingHere = Annotated[Caller | None, Depends(_reading_here)]
"""As `Reading`, and any program on this machine, which needs no login."""
Managing = Annotated[Caller, needs("engineer", "manage")]
"""People who may change thresholds and models, and keys with the scope `manage`."""


def _no_key(scope: Scope | None) -> str:
    if scope is None:
        return "Only people do this: log in with a browser."
    return f"This needs a key with the scope {scope}."


def _key(request: Request) -> str | None:
    header = request.headers.get("authorization", "")
    return header[7:].strip() if header.lower().startswith("bearer ") else None


async def _check_csrf(request: Request, caller: Caller) -> None:
    """Compare the token of the header, or of the form, which a browser sends without scripts."""
    token = request.headers.get(CSRF_HEADER)
    if token is None and request.headers.get("content-type", "").lower().startswith(_FORMS):
        with suppress(RuntimeError):  # the route's form was read already
            await request.body()  # keeps the body for a route that reads it by itself
        token = str((await request.form()).get(CSRF_FIELD, ""))
    if not hmac.compare_digest((token or "").encode(), caller.csrf.encode()):
        raise HTTPException(403, "The page has expired: load it again.")


def _by_session(database: Database, digest: str) -> Caller | None:
    with database.read() as session:
        login = session.get(LoginSession, digest)
        if login is None or login.expires_at <= now():
            return None
        caller = _caller(session, login.user_id, csrf=login.csrf)
    if caller is not None:
        keep_alive(database, login)
    return caller


def _by_key(database: Database, digest: str) -> Caller | None:
    with database.read() as session:
        key = session.scalar(select(ApiKey).where(ApiKey.digest == digest))
        if key is None or key.revoked_at is not None:
            return None
        if key.expires_at is not None and key.expires_at <= now():
            return None
        scopes = frozenset(key.scopes.split())
        caller = _caller(session, key.user_id, key_id=key.id, scopes=scopes)
    if caller is not None:
        _note_use(database, key)
    return caller


def _note_use(database: Database, key: ApiKey) -> None:
    if key.used_at is None or now() - key.used_at > _MINUTE:
        with suppress(SQLAlchemyError), database.write() as session:
            session.execute(update(ApiKey).where(ApiKey.id == key.id).values(used_at=now()))


def _caller(session: Session, user_id: int, **more: Any) -> Caller | None:
    user = session.get(User, user_id)
    if user is None or user.disabled_at is not None:
        return None
    return Caller(user.name, user.role, user.id, **more)  # type: ignore[arg-type]
