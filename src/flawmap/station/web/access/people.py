"""The people page: who may use the station, and as what."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from sqlalchemy import func, select

from flawmap.station.api.access.users import address_of
from flawmap.station.api.ids import RowId
from flawmap.station.context import Station, StationOf
from flawmap.station.database.tables import ApiKey, User
from flawmap.station.refusals import RefusedError
from flawmap.station.security import users
from flawmap.station.security.audit import record
from flawmap.station.security.callers import Administrator, Caller
from flawmap.station.security.links import password_link
from flawmap.station.security.roles import ROLES, Role
from flawmap.station.web.rendering import page

router = APIRouter(prefix="/people")
AnyRole = Annotated[Role, Form()]


@router.get("", response_class=HTMLResponse)
def people(request: Request, station: StationOf, caller: Administrator) -> Response:
    """Show all users, and a form for a new one."""
    return _show(request, station, caller)


@router.post("", response_class=HTMLResponse)
def create(
    request: Request,
    station: StationOf,
    caller: Administrator,
    name: Annotated[str, Form(max_length=200)] = "",
    role: AnyRole = "operator",
) -> Response:
    """Create a user, and show the link with which they set their password."""
    try:
        with station.database.write() as session:
            user = users.create_user(session, caller, name, role)
            link = password_link(session, user, address_of(request))
    except RefusedError as error:
        return _show(request, station, caller, error, typed=name)
    return _show(request, station, caller, link=link, link_for=user.name)


@router.post("/{user_id}/link", response_class=HTMLResponse)
def new_link(
    request: Request, user_id: RowId, station: StationOf, caller: Administrator
) -> Response:
    """Show a new link with which a user sets their password."""
    with station.database.write() as session:
        user = users.get_user(session, user_id)
        link = password_link(session, user, address_of(request))
        record(session, caller, "user.password-link", user.name)
    return _show(request, station, caller, link=link, link_for=user.name)


@router.post("/{user_id}/role", response_class=HTMLResponse)
def change_role(
    request: Request, user_id: RowId, station: StationOf, caller: Administrator, role: AnyRole
) -> Response:
    """Give a user another role."""
    try:
        with station.database.write() as session:
            users.change_role(session, caller, users.get_user(session, user_id), role)
    except RefusedError as error:
        return _show(request, station, caller, error)
    return _done(station)


@router.post("/{user_id}/disable", response_class=HTMLResponse)
def disable(
    request: Request, user_id: RowId, station: StationOf, caller: Administrator
) -> Response:
    """Lock a user out."""
    try:
        with station.database.write() as session:
            users.disable_user(session, caller, users.get_user(session, user_id))
    except RefusedError as error:
        return _show(request, station, caller, error)
    return _done(station)


@router.post("/{user_id}/enable", response_class=HTMLResponse)
def enable(user_id: RowId, station: StationOf, caller: Administrator) -> Response:
    """Let a user in again."""
    with station.database.write() as session:
        users.enable_user(session, caller, users.get_user(session, user_id))
    return _done(station)


def _done(station: Station) -> Response:
    station.callers.clear()
    return RedirectResponse("/people", 303)


def _show(
    request: Request,
    station: Station,
    caller: Caller,
    error: RefusedError | None = None,
    **more: Any,
) -> HTMLResponse:
    working = ApiKey.revoked_at.is_(None)
    counts = select(ApiKey.user_id, func.count()).where(working).group_by(ApiKey.user_id)
    ordered = select(User).order_by(User.disabled_at.is_not(None), func.lower(User.name))
    with station.database.read() as session:
        rows = session.scalars(ordered).all()
        keys = {row[0]: row[1] for row in session.execute(counts)}
    values = {"users": rows, "keys": keys, "roles": ROLES, "link": "", "link_for": "", "typed": ""}
    values["failure"] = error.detail if error else ""
    status = error.status if error else 200
    return page(request, "access/people.html.j2", caller, status, **values | more)
