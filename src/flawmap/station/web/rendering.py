"""Rendering of pages: one Jinja2 environment, escaped by default, with what each page needs."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from flawmap.station.security.callers import Caller
from flawmap.station.security.roles import includes
from flawmap.station.web.navigation import PAGES


def page(
    request: Request, template: str, caller: Caller, status: int = 200, **values: Any
) -> HTMLResponse:
    """Render a template of `web/templates` for the person who asked for it."""
    pages = [one for one in PAGES if includes(caller.role, one.role)]
    text = (
        _environment()
        .get_template(template)
        .render(path=request.url.path, pages=pages, caller=caller, **values)
    )
    return HTMLResponse(text, status)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("flawmap.station.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["moment"] = _moment
    environment.filters["utc"] = _utc
    return environment


def _moment(microseconds: int) -> str:
    """Return a moment as ISO 8601 in UTC, for `<time datetime>`; the browser shows local time."""
    return datetime.fromtimestamp(microseconds / 1e6, UTC).isoformat(timespec="milliseconds")


def _utc(microseconds: int) -> str:
    return datetime.fromtimestamp(microseconds / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S")
