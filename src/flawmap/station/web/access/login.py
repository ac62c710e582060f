"""Logging in and out, and the one-time links with which people begin."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from sqlalchemy.orm import Session

from flawmap.station.context import Station, StationOf
from flawmap.station.database.tables import LoginSession, User
from flawmap.station.refusals import RefusedError
from flawmap.station.security import links, users
from flawmap.station.security.audit import record
from flawmap.station.security.callers import COOKIE, Caller, Operator, known_caller
from flawmap.station.security.passwords import SHORTEST, is_password
from flawmap.station.security.requests import local_path
from flawmap.station.security.secrets import token_digest
from flawmap.station.security.sessions import LONGEST, begin_session
from flawmap.station.web.rendering import page

router = APIRouter()
Text = Annotated[str, Form(max_length=200)]
Target = Annotated[str, Form(max_length=2000)]
_WRONG = "Name or password is wrong."


@router.get("/login", response_class=HTMLResponse)
async def login_page(request: Request, station: StationOf, next: str = "/") -> Response:
    """Show the form; who is logged in goes on at once."""
    if await known_caller(request, station) is not None:
        return RedirectResponse(local_path(next), 303)
    return _login_form(request, station, local_path(next))


@router.post("/login", response_class=HTMLResponse)
def login(
    request: Request, station: StationOf, name: Text = "", password: Text = "", next: Target = "/"
) -> Response:
    """Log in; each failure is counted by name and by address, and takes as long as a success."""
    target, address = local_path(next), _address(request)
    seconds = station.throttle.begin(name, address)
    if seconds > 0:
        sentence = f"Too many failed logins: wait {max(1, round(seconds))} seconds."
        response = _login_form(request, station, target, sentence, name, 429)
        response.headers["Retry-After"] = str(max(1, round(seconds)))
        return response
    with station.database.read() as session:
        user = users.find_user(session, name)
        stored = user.password if user is not None and user.disabled_at is None else None
    if not is_password(stored, password) or user is None:
        with station.database.write() as session:
            record(session, None, "login.fail", name, address=address)
        return _login_form(request, station, target, _WRONG, name, 401)
    station.throttle.succeeded(name, address)
    return _log_in(request, station, user, target)


@router.post("/logout")
def logout(request: Request, station: StationOf, caller: Operator) -> Response:
    """End this session."""
    with station.database.write() as session:
        _end_present(session, request)
        record(session, caller, "logout", caller.name)
    station.callers.clear()
    response = RedirectResponse("/login", 303)
    response.delete_cookie(COOKIE)
    return response


@router.get("/setup/{token}", response_class=HTMLResponse)
def setup_page(request: Request, station: StationOf, token: str) -> Response:
    """Ask for the name and password of an administrator."""
    with station.database.read() as session:
        links.open_link(session, token, for_setup=True)
        names = links.administrator_names(session)
    return _setup_form(request, names)


@router.post("/setup/{token}", response_class=HTMLResponse)
def setup(
    request: Request,
    station: StationOf,
    token: str,
    name: Text = "",
    password: Text = "",
    again: Text = "",
) -> Response:
    """Make the person an administrator, a new one or one who is known already; the link ends."""
    with station.database.read() as session:
        links.open_link(session, token, for_setup=True)
        names = links.administrator_names(session)
    try:
        _same(password, again)
        cleaned = users.clean_name(name)
        hashed = users.new_password(password, cleaned)
    except RefusedError as error:
        return _setup_form(request, names, error, name)
    with station.database.write() as session:
        session.delete(links.open_link(session, token, for_setup=True))
        user = users.make_administrator(session, cleaned, hashed)
    return _log_in(request, station, user, "/")


@router.get("/password/{token}", response_class=HTMLResponse)
def password_page(request: Request, station: StationOf, token: str) -> Response:
    """Ask a person for a password."""
    return _password_form(request, _user_of(station, token))


@router.post("/password/{token}", response_class=HTMLResponse)
def set_password(
    request: Request, station: StationOf, token: str, password: Text = "", again: Text = ""
) -> Response:
    """Set the password of the link's user, and log them in; the link ends."""
    user = _user_of(station, token)
    try:
        _same(password, again)
        hashed = users.new_password(password, user.name)
    except RefusedError as error:
        return _password_form(request, user, error)
    with station.database.write() as session:
        link = links.open_link(session, token, for_setup=False)
        user = users.get_user(session, link.user_id or 0)
        users.store_password(session, user, hashed)
        record(session, _person(user), "user.password", user.name, link=True)
    if user.disabled_at is not None:
        raise RefusedError("This account is disabled: ask an administrator.", 403)
    return _log_in(request, station, user, "/")


def _log_in(request: Request, station: Station, user: User, target: str) -> Response:
    """Begin a session under a new token; one that the browser brought along ends."""
    agent = request.headers.get("user-agent", "")
    with station.database.write() as session:
        _end_present(session, request)
        cookie = begin_session(session, user.id, _address(request), agent)
        record(session, _person(user), "login", user.name, address=_address(request))
    station.callers.clear()
    response = RedirectResponse(target, 303)
    response.set_cookie(
        COOKIE,
        cookie,
        max_age=LONGEST // 1_000_000,
        httponly=True,
        samesite="lax",
        secure=station.config.proxy or request.url.scheme == "https",
    )
    return response


def _end_present(session: Session, request: Request) -> None:
    present = session.get(LoginSession, token_digest(request.cookies.get(COOKIE, "")))
    if present is not None:
        session.delete(present)


def _user_of(station: Station, token: str) -> User:
    with station.database.read() as session:
        link = links.open_link(session, token, for_setup=False)
        return users.get_user(session, link.user_id or 0)


def _person(user: User) -> Caller:
    return Caller(user.name, user.role, user.id)  # type: ignore[arg-type]


def _same(password: str, again: str) -> None:
    if password != again:
        raise RefusedError("The two passwords differ.")


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


def _login_form(
    request: Request,
    station: Station,
    target: str,
    failure: str = "",
    name: str = "",
    status: int = 200,
) -> HTMLResponse:
    with station.database.read() as session:
        is_set_up = links.has_administrator(session)
    values = {"next": target, "failure": failure, "name": name, "is_set_up": is_set_up}
    return page(request, "access/login.html.j2", None, status, **values)


def _setup_form(
    request: Request, names: list[str], error: RefusedError | None = None, name: str = ""
) -> HTMLResponse:
    values = {"failure": error.detail if error else "", "name": name, "names": names}
    status = error.status if error else 200
    return page(request, "access/setup.html.j2", None, status, **values, shortest=SHORTEST)


def _password_form(request: Request, user: User, error: RefusedError | None = None) -> HTMLResponse:
    values = {"failure": error.detail if error else "", "name": user.name, "shortest": SHORTEST}
    status = error.status if error else 200
    return page(request, "access/password.html.j2", None, status, **values)
