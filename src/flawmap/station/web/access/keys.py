"""The page of API keys: what programs may use the station."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from flawmap.station.api.ids import RowId
from flawmap.station.context import Station, StationOf
from flawmap.station.database.tables.base import now
from flawmap.station.refusals import RefusedError
from flawmap.station.security import keys
from flawmap.station.security.callers import Administrator, Caller
from flawmap.station.security.roles import SCOPE_NOTES, Scope
from flawmap.station.web.rendering import page

router = APIRouter(prefix="/people/keys")


@router.get("", response_class=HTMLResponse)
def list_keys(request: Request, station: StationOf, caller: Administrator) -> Response:
    """Show all keys, and a form for a new one."""
    return _show(request, station, caller)


@router.post("", response_class=HTMLResponse)
def create(
    request: Request,
    station: StationOf,
    caller: Administrator,
    name: Annotated[str, Form(max_length=200)] = "",
    scopes: Annotated[tuple[Scope, ...], Form()] = (),
    days: Annotated[int, Form(ge=0, le=3650)] = 365,
) -> Response:
    """Make a key, and show it this once."""
    try:
        with station.database.write() as session:
            key, secret = keys.create_key(session, caller, name, scopes, days or None)
    except RefusedError as error:
        return _show(request, station, caller, error, typed=name)
    return _show(request, station, caller, secret=secret, secret_of=key.name)


@router.post("/{key_id}/revoke")
def revoke(key_id: RowId, station: StationOf, caller: Administrator) -> Response:
    """End a key."""
    with station.database.write() as session:
        keys.revoke_key(session, caller, key_id)
    station.callers.clear()
    return RedirectResponse("/people/keys", 303)


def _show(
    request: Request,
    station: Station,
    caller: Caller,
    error: RefusedError | None = None,
    **more: Any,
) -> HTMLResponse:
    with station.database.read() as session:
        rows = keys.all_keys(session)
    values = {"keys": rows, "now": now(), "scopes": SCOPE_NOTES, "secret": "", "typed": ""}
    values["failure"] = error.detail if error else ""
    status = error.status if error else 200
    return page(request, "access/keys.html.j2", caller, status, **values | more)
