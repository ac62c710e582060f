"""A person's own account by the API: who they are, password, and where they are logged in."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, Field

from flawmap.station.context import StationOf
from flawmap.station.refusals import RefusedError
from flawmap.station.security.audit import record
from flawmap.station.security.callers import COOKIE, Operator, Reading
from flawmap.station.security.roles import Role
from flawmap.station.security.secrets import token_digest
from flawmap.station.security.sessions import SHOWN_ID, end_session, sessions_of
from flawmap.station.security.users import changed_password, get_user, store_password

router = APIRouter(prefix="/api/v1/account", tags=["account"])
SessionId = Annotated[str, Path(min_length=SHOWN_ID, max_length=SHOWN_ID)]


class Account(BaseModel):
    """Who calls."""

    name: str = Field(description="the person's, or that of the person who made the key")
    role: Role = Field(description="what this person may do")
    scopes: list[str] = Field(description="what the key may do; empty for a person")


class SessionAnswer(BaseModel):
    """A browser in which a person is logged in."""

    id: str = Field(description="names the session; it is no secret")
    created_at: int = Field(description="of the login, microseconds since 1970, UTC")
    expires_at: int = Field(description="when it ends unless it is used; microseconds, UTC")
    address: str | None = Field(description="that logged in")
    agent: str | None = Field(description="the browser, as it calls itself")
    is_this: bool = Field(description="whether it is the session that asks")


class PasswordChange(BaseModel):
    """A new password, and the present one as a proof."""

    old: str = Field(max_length=200)
    new: str = Field(max_length=200)


@router.get("")
def own_account(caller: Reading) -> Account:
    """Tell who calls."""
    return Account(name=caller.name, role=caller.role, scopes=sorted(caller.scopes))


@router.get("/sessions")
def own_sessions(request: Request, station: StationOf, caller: Operator) -> list[SessionAnswer]:
    """List the browsers in which the caller is logged in, the newest first."""
    mine = token_digest(request.cookies.get(COOKIE, ""))
    with station.database.read() as session:
        return [
            SessionAnswer(
                id=one.token[:SHOWN_ID],
                created_at=one.created_at,
                expires_at=one.expires_at,
                address=one.address,
                agent=one.agent,
                is_this=one.token == mine,
            )
            for one in sessions_of(session, caller.user_id)
        ]


@router.delete("/sessions/{session_id}", status_code=204)
def end_own_session(session_id: SessionId, station: StationOf, caller: Operator) -> Response:
    """Log the caller out in one browser."""
    with station.database.write() as session:
        if not end_session(session, caller.user_id, session_id):
            raise RefusedError("There is no such session; it may have ended.", 404)
        record(session, caller, "session.end", caller.name)
    station.callers.clear()
    return Response(status_code=204)


@router.put("/password", status_code=204)
def change_password(
    request: Request, change: PasswordChange, station: StationOf, caller: Operator
) -> Response:
    """Change the caller's password; all their other sessions end."""
    set_own_password(request, station, caller, change.old, change.new)
    return Response(status_code=204)


def set_own_password(
    request: Request, station: StationOf, caller: Operator, old: str, new: str
) -> None:
    """Change the caller's password if `old` is the present one; tries are limited as logins are."""
    address = request.client.host if request.client else ""
    if (seconds := station.throttle.begin(caller.name, address)) > 0:
        raise RefusedError(f"Wrong too often: try again in {seconds:.0f} seconds.", 429)
    with station.database.read() as session:
        user = get_user(session, caller.user_id)
    hashed = changed_password(user, old, new)
    station.throttle.succeeded(caller.name, address)
    with station.database.write() as session:
        user = get_user(session, caller.user_id)
        store_password(session, user, hashed, but=request.cookies.get(COOKIE, ""))
        record(session, caller, "user.password", caller.name)
    station.callers.clear()
