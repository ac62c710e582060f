"""The list of parts: search, results page by page, and export."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse
from sqlalchemy import select
from sqlalchemy.orm import Session

from flawmap.station.context import StationOf
from flawmap.station.database.tables import Part
from flawmap.station.security.callers import Operator
from flawmap.station.web.frame.selection import chosen_product
from flawmap.station.web.parts.search import (
    PAGE,
    SPAN_NAMES,
    PartSearch,
    chips,
    find_parts,
    place,
)
from flawmap.station.web.rendering import page, render

router = APIRouter()
_LINES_OF = 200  # last parts whose lines are offered


class _Query(PartSearch):
    """A search, the page of its results, and how they are shown."""

    after: str = ""
    view: Literal["tiles", "table"] = "tiles"


@router.get("/parts", response_class=HTMLResponse)
def parts(
    request: Request, station: StationOf, caller: Operator, query: Annotated[_Query, Query()]
) -> HTMLResponse:
    """Show the parts of a search; to htmx only the next page of results."""
    with station.database.read() as session:
        product = chosen_product(request, session)
        name = None if product is None else product.name
        search = PartSearch(**query.model_dump(exclude={"after", "view"}) | {"product": name})
        found = find_parts(session, search, query.after)
        lines = _recent_lines(session)
    values = _results(search, found, query.view)
    if "hx-request" in request.headers:
        return HTMLResponse(render(request, "parts/results.html.j2", caller, **values))
    values |= {"chips": chips(search), "lines": lines, "spans": SPAN_NAMES, "after": query.after}
    return page(request, "parts/list.html.j2", caller, **values)


def _results(search: PartSearch, found: Sequence[Part], view: str) -> dict[str, Any]:
    """Return what the results show: a page of parts, and the query of the next one."""
    shown = found[:PAGE]
    more = search.parameters(view=view, after=place(shown[-1])) if len(found) > PAGE else None
    return {"search": search, "parts": shown, "more": more, "view": view}


def _recent_lines(session: Session) -> list[str]:
    newest = select(Part.line).order_by(Part.received_at.desc()).limit(_LINES_OF)
    return sorted({line for line in session.scalars(newest) if line})
