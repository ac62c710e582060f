"""The live page: the last parts as they come, and a lamp for each line."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from sqlalchemy import select

from flawmap.station.context import Station, StationOf
from flawmap.station.database.tables import Product
from flawmap.station.database.tables.base import now
from flawmap.station.intake.products import UNTRAINED
from flawmap.station.intake.service import intake_of
from flawmap.station.security.callers import Caller, Operator
from flawmap.station.security.roles import includes
from flawmap.station.web.frame.selection import chosen_product
from flawmap.station.web.parts.recent import SHOWN, RecentCounts, lamps, newest
from flawmap.station.web.rendering import page, render

router = APIRouter()


@router.get("/", response_class=HTMLResponse)
def live(request: Request, station: StationOf, caller: Operator) -> Response:
    """Show the last parts, and how to send the first one while there is none.

    Without any product, who may create one is led there.
    """
    if includes(caller.role, "engineer") and not _has_product(station):
        return RedirectResponse("/products/new", 303)
    values = _summary(request, station, 0)
    return page(request, "live.html.j2", caller, shown=SHOWN, origin=_origin(request), **values)


@router.get("/live/news")
def news(request: Request, station: StationOf, caller: Operator, after: int = 0) -> dict[str, Any]:
    """Return what changed on the live page since the part with the id `after`, as HTML."""
    values = _summary(request, station, after)
    return {
        "last": max([after, *(part.id for part in values["parts"])]),
        "tiles": _tiles(request, caller, values),
        "lamps": render(request, "live/lamps.html.j2", caller, **values),
        "counts": render(request, "live/counts.html.j2", caller, **values),
        "problems": render(request, "live/problems.html.j2", caller, **values),
    }


def _tiles(request: Request, caller: Caller, values: dict[str, Any]) -> list[str]:
    """Return one tile a part, the newest first."""
    return [
        render(request, "live/tile.html.j2", caller, part=part).strip() for part in values["parts"]
    ]


def _has_product(station: Station) -> bool:
    with station.database.read() as session:
        return session.scalar(select(Product.id).limit(1)) is not None


def _summary(request: Request, station: Station, after: int) -> dict[str, Any]:
    with station.database.read() as session:
        product = chosen_product(request, session)
        product_id = None if product is None else product.id
        parts, shown = newest(session, product_id, after), lamps(session, product_id)
    counts = _counts(station).get()
    verdicts = counts.verdicts(product_id)
    return {
        "product": "" if product is None else product.name,
        "parts": parts,
        "lamps": shown,
        "verdicts": verdicts,
        "in_hour": sum(verdicts.values()),
        "per_minute": counts.per_minute(product_id),
        "problems": _problems(station, product_id),
        "now": now(),
    }


def _problems(station: Station, product_id: int | None) -> list[tuple[str, str]]:
    """Return the products whose inspector cannot be loaded, each with the reason."""
    return [
        (one.name, one.problem)
        for one in intake_of(station).products
        if one.problem not in (None, UNTRAINED) and product_id in (None, one.id)
    ]


def _counts(station: Station) -> RecentCounts:
    """Return the station's counts, made at the first request."""
    found = station.shared.setdefault("recent counts", RecentCounts(station.database))
    assert isinstance(found, RecentCounts)
    return found


def _origin(request: Request) -> str:
    """Return the address under which the browser reached the station."""
    return f"{request.url.scheme}://{request.url.netloc}"
