"""The live page: the last parts as they come."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from sqlalchemy import select

from flawmap.station.context import StationOf
from flawmap.station.database.tables import Part
from flawmap.station.security.callers import Operator
from flawmap.station.web.rendering import page

router = APIRouter()
_SHOWN = 24


@router.get("/", response_class=HTMLResponse)
def live(request: Request, station: StationOf, caller: Operator) -> HTMLResponse:
    """Show the last parts."""
    newest = select(Part).order_by(Part.received_at.desc(), Part.id.desc()).limit(_SHOWN)
    with station.database.read() as session:
        parts = session.scalars(newest).all()
    return page(request, "live.html.j2", caller, parts=parts)
