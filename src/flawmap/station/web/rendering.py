"""Rendering of pages: one Jinja2 environment, escaped by default, with what each page needs."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from flawmap.station.context import station_of
from flawmap.station.security.callers import Caller
from flawmap.station.security.roles import includes
from flawmap.station.web.frame.assets import asset_url
from flawmap.station.web.frame.selection import (
    address_with,
    all_products,
    chosen_name,
    remember_choice,
)
from flawmap.station.web.navigation import PAGES


def page(
    request: Request, template: str, caller: Caller | None, status: int = 200, **values: Any
) -> HTMLResponse:
    """Render a template of `web/templates` for the person who asked for it.

    Without a caller, such as before the login, the page has neither navigation nor menus.
    """
    text = render(request, template, caller, **_frame(request, caller), **values)
    response = HTMLResponse(text, status, {"Cache-Control": "no-store"})
    remember_choice(request, response)
    return response


def render(request: Request, template: str, caller: Caller | None, **values: Any) -> str:
    """Render a template that needs nothing of a page's frame, such as a part of a page."""
    chosen = _environment().get_template(template)
    csrf = caller.csrf if caller is not None else ""  # within a macro, `caller` is Jinja's own
    return chosen.render(request=request, path=request.url.path, caller=caller, csrf=csrf, **values)


def _frame(request: Request, caller: Caller | None) -> dict[str, Any]:
    """Return what the header shows: pages, products, and the chosen one's name ("" for all)."""
    if caller is None:
        return {"pages": (), "products": (), "chosen": ""}
    with station_of(request).database.read() as session:
        names = [product.name for product in all_products(session)]
    name = chosen_name(request)
    pages = [one for one in PAGES if includes(caller.role, one.role)]
    return {"pages": pages, "products": names, "chosen": name if name in names else ""}


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
    environment.filters["thousands"] = _thousands
    environment.filters["megabytes"] = size_text
    environment.filters["percent"] = _percent
    environment.filters["score"] = score_text
    environment.globals["asset"] = asset_url
    environment.globals["address_with"] = address_with
    return environment


def _moment(microseconds: int) -> str:
    """Return a moment as ISO 8601 in UTC, for `<time datetime>`; the browser shows local time."""
    return datetime.fromtimestamp(microseconds / 1e6, UTC).isoformat(timespec="milliseconds")


def _utc(microseconds: int) -> str:
    return datetime.fromtimestamp(microseconds / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _thousands(number: int) -> str:
    """Return a number with thin spaces between thousands."""
    return f"{number:,}".replace(",", "\u2009")


def size_text(size: int) -> str:
    """Return bytes as MB, or from 10 GB on as GB; what is not nothing is not 0.

    >>> [size_text(one) for one in (0, 1, 25 * 10**5, 123456789, 25 * 10**9)]
    ['0 MB', '0.1 MB', '2.5 MB', '123 MB', '25.0 GB']
    """
    if size >= 10**10:
        return f"{size / 1e9:.1f} GB"
    if size >= 10**7 or size == 0:
        return f"{size / 1e6:.0f} MB"
    return f"{max(size / 1e6, 0.1):.1f} MB"


def _percent(value: float) -> str:
    """Return percent with one decimal, except for 0 and 100: only all are 100 %."""
    return f"{value:.0f}" if value in (0, 100) else f"{min(max(value, 0.1), 99.9):.1f}"


def score_text(value: float | None) -> str:
    """Return a score with the digits that tell it from others.

    >>> [score_text(one) for one in (0.17812, 0.000012, 0.0, 1234.5, None)]
    ['0.1781', '1.2e-05', '0', '1234.5', '–']
    """
    if value is None:
        return "–"
    if value == 0:
        return "0"
    if abs(value) < 0.001:
        return f"{value:.1e}"
    return f"{value:.4f}" if abs(value) < 100 else f"{value:.1f}"
