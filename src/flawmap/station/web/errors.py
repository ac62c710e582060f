"""Errors as people should see them: a page for browsers, one sentence of JSON for programs."""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import quote, urlsplit

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from sqlalchemy.exc import DataError
from starlette.exceptions import HTTPException as AnyHTTPException

from flawmap.station.context import station_of
from flawmap.station.refusals import RefusedError
from flawmap.station.security.callers import Caller, known_caller
from flawmap.station.security.shield import mistake_sentence
from flawmap.station.web.rendering import page

LOGIN = "/login"
_TITLES = {
    400: "The station cannot do that",
    403: "You may not do that",
    404: "There is nothing here",
    405: "The station cannot do that",
    409: "That cannot be done now",
    422: "That was not accepted",
    500: "The station made a mistake",
    503: "The station is busy",
}
_SENTENCES = {
    "Not Found": "This address leads nowhere, or what it showed was deleted.",
    "Method Not Allowed": "This address takes no such request.",
}
_UNSTORABLE = "A number is too large, or a text has characters that no database stores."


def install_error_pages(app: FastAPI) -> None:
    """Let an application answer browsers with pages and programs with JSON."""
    app.add_exception_handler(AnyHTTPException, _on_refusal)
    app.add_exception_handler(RefusedError, _on_refused)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(OverflowError, _on_unstorable)  # SQLite's, of a number
    app.add_exception_handler(DataError, _on_unstorable)  # PostgreSQL's, of a number or a NUL
    app.add_exception_handler(Exception, _on_mistake)


def wants_page(request: Request) -> bool:
    """Whether a person with a browser waits for the answer, not a script or a program."""
    is_script = "hx-request" in request.headers or request.url.path.startswith(("/api/", "/v2"))
    return not is_script and "text/html" in request.headers.get("accept", "")


async def _on_refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, AnyHTTPException)
    headers = dict(error.headers or {})
    if error.status_code == 401 and "hx-request" in request.headers:
        headers["HX-Redirect"] = LOGIN
    if not wants_page(request):
        return JSONResponse({"detail": error.detail}, error.status_code, headers)
    if error.status_code == 401:
        return RedirectResponse(_login_address(request), 303)
    sentence = _SENTENCES.get(error.detail, error.detail)
    return await _error_page(request, error.status_code, sentence)


async def _on_refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)
    return await _on_refusal(request, AnyHTTPException(error.status, error.detail))


async def _on_unstorable(request: Request, error: Exception) -> Response:
    return await _on_refusal(request, AnyHTTPException(422, _UNSTORABLE))


async def _on_invalid(request: Request, error: Exception) -> Response:
    """Say what is wrong in one sentence; what was sent is not repeated, a password least of all."""
    assert isinstance(error, RequestValidationError)
    wrong = "; ".join(_complaint(one) for one in error.errors()[:5])
    return await _on_refusal(request, AnyHTTPException(422, f"Not valid: {wrong}."))


def _complaint(error: dict[str, Any]) -> str:
    place = ".".join(str(one) for one in error["loc"][1:]) or str(error["loc"][0])
    text = f"{place} ({error['msg']})"
    return text.encode(errors="replace").decode()[:200]


async def _on_mistake(request: Request, error: Exception) -> Response:
    """Answer with the number under which the shield has logged the error, and nothing else."""
    detail = mistake_sentence(request.scope["state"]["error_number"])
    if not wants_page(request):
        return JSONResponse({"detail": detail}, 500)
    return await _error_page(request, 500, detail)


async def _error_page(request: Request, status: int, detail: str) -> Response:
    title = _TITLES.get(status, "That did not work")
    values = {"title": title, "detail": detail, "code": status, "back": _came_from(request)}
    values["reload"] = status >= 500 and request.method == "GET"
    return page(request, "error.html.j2", await _known_caller(request), status, **values)


async def _known_caller(request: Request) -> Caller | None:
    """Return who asks, for the header; an error here must not hide the first one."""
    try:
        return await known_caller(request, station_of(request))
    except Exception:
        logging.getLogger("flawmap.station").exception("No caller for an error page")
        return None


def _came_from(request: Request) -> str:
    """Return the station's page whose form was refused, "" if there is none."""
    referer = urlsplit(request.headers.get("referer", ""))
    if request.method == "GET" or referer.netloc != request.url.netloc:
        return ""
    return referer.path


def _login_address(request: Request) -> str:
    """Return the login page's address, which leads back to a page that was only read."""
    if request.method != "GET":
        return LOGIN
    query = f"?{request.url.query}" if request.url.query else ""
    return f"{LOGIN}?next={quote(request.url.path + query)}"
