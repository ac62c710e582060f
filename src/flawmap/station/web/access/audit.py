"""The audit page: who changed what, and when."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, Response

from flawmap.station.context import StationOf
from flawmap.station.security.audit import find_entries
from flawmap.station.security.callers import Administrator
from flawmap.station.web.rendering import page

router = APIRouter()
_SHOWN = 100


@router.get("/audit", response_class=HTMLResponse)
def audit(
    request: Request,
    station: StationOf,
    caller: Administrator,
    text: Annotated[str, Query(max_length=100)] = "",
    before: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
) -> Response:
    """Show entries that contain a text, the newest first."""
    with station.database.read() as session:
        found = find_entries(session, text, before, _SHOWN + 1)
    values: dict[str, Any] = {"entries": found[:_SHOWN], "more": len(found) > _SHOWN}
    return page(request, "access/audit.html.j2", caller, text=text, before=before, **values)
