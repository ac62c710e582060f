"""A person's own page: password, and the browsers in which they are logged in."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from flawmap.station.api.access.account import SessionId, own_sessions, set_own_password
from flawmap.station.context import Station, StationOf
from flawmap.station.refusals import RefusedError
from flawmap.station.security.audit import record
from flawmap.station.security.callers import Caller, Operator
from flawmap.station.security.passwords import SHORTEST
from flawmap.station.security.sessions import end_session
from flawmap.station.web.rendering import page

router = APIRouter(prefix="/account")
Text = Annotated[str, Form(max_length=200)]


@router.get("", response_class=HTMLResponse)
def account(request: Request, station: StationOf, caller: Operator) -> Response:
    """Show the caller's own account."""
    return _show(request, station, caller)


@router.post("/password", response_class=HTMLResponse)
def change_password(
    request: Request,
    station: StationOf,
    caller: Operator,
    old: Text = "",
    new: Text = "",
    again: Text = "",
) -> Response:
    """Change the caller's password."""
    try:
        if new != again:
            raise RefusedError("The two new passwords differ.")
        set_own_password(request, station, caller, old, new)
    except RefusedError as error:
        return _show(request, station, caller, error)
    done = "Your password is changed. You are logged out everywhere else."
    return _show(request, station, caller, done=done)


@router.post("/sessions/{session_id}/end")
def end(session_id: SessionId, station: StationOf, caller: Operator) -> Response:
    """Log the caller out in one browser."""
    with station.database.write() as session:
        if end_session(session, caller.user_id, session_id):
            record(session, caller, "session.end", caller.name)
    station.callers.clear()
    return RedirectResponse("/account", 303)


def _show(
    request: Request,
    station: Station,
    caller: Caller,
    error: RefusedError | None = None,
    done: str = "",
) -> HTMLResponse:
    sessions = own_sessions(request, station, caller)
    values = {"sessions": sessions, "failure": error.detail if error else "", "done": done}
    status = error.status if error else 200
    return page(request, "access/account.html.j2", caller, status, **values, shortest=SHORTEST)
