"""Errors as people should see them: a page for browsers, one sentence of JSON for programs."""

from __future__ import annotations

import logging
from urllib.parse import quote

from fastapi import FastAPI, HTTPException, Request
from fastapi.exception_handlers import request_validation_exception_handler
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException as AnyHTTPException

from flawmap.station.context import station_of
from flawmap.station.security.callers import Caller, caller_of
from flawmap.station.web.rendering import page

LOGIN = "/login"
_TITLES = {
    400: "The station cannot do that",
    403: "You may not do that",
    404: "There is nothing here",
    405: "The station cannot do that",
    409: "Somebody was faster",
    422: "The address is not understood",
    500: "The station made a mistake",
    503: "The station is busy",
}
_SENTENCES = {
    "Not Found": "This address leads nowhere, or what it showed was deleted.",
    "Method Not Allowed": "This address takes no such request.",
}
_MISTAKE = "It is in the station's log. Load the page again; if it stays, tell an administrator."


def install_error_pages(app: FastAPI) -> None:
    """Let an application answer browsers with pages and programs with JSON."""
    app.add_exception_handler(AnyHTTPException, _on_refusal)
    app.add_exception_handler(RequestValidationError, _on_invalid)
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


async def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    if not wants_page(request):
        return await request_validation_exception_handler(request, error)
    wrong = ", ".join(str(one["loc"][-1]) for one in error.errors())
    return await _error_page(request, 422, f"Not valid in it: {wrong}.")


async def _on_mistake(request: Request, error: Exception) -> Response:
    """Answer without any detail of the error: that goes to the log only."""
    logging.getLogger("flawmap.station").error("%s failed", request.url.path, exc_info=error)
    if not wants_page(request):
        return JSONResponse({"detail": f"The station made a mistake. {_MISTAKE}"}, 500)
    return await _error_page(request, 500, _MISTAKE)


async def _error_page(request: Request, status: int, detail: str) -> Response:
    title = _TITLES.get(status, "That did not work")
    values = {"title": title, "detail": detail, "code": status, "reload": status >= 500}
    return page(request, "error.html.j2", await _known_caller(request), status, **values)


async def _known_caller(request: Request) -> Caller | None:
    """Return who asks, for the header; an error here must not hide the first one."""
    try:
        return await caller_of(request, station_of(request))
    except HTTPException:
        return None
    except Exception:
        logging.getLogger("flawmap.station").exception("No caller for an error page")
        return None


def _login_address(request: Request) -> str:
    """Return the login page's address, which leads back to a page that was only read."""
    if request.method != "GET":
        return LOGIN
    query = f"?{request.url.query}" if request.url.query else ""
    return f"{LOGIN}?next={quote(request.url.path + query)}"
