"""The list of parts: search, results page by page, and export."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse
from pydantic import Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from flawmap.errors import UsageError
from flawmap.station.context import StationOf
from flawmap.station.database.tables import Part
from flawmap.station.parts.find import Found, count_parts, find_parts
from flawmap.station.refusals import RefusedError
from flawmap.station.security.callers import Operator
from flawmap.station.web.frame.selection import chosen_product
from flawmap.station.web.parts.search import (
    SPAN_NAMES,
    PartSearch,
    chips,
    export_query,
    wanted_parts,
)
from flawmap.station.web.rendering import page, render

router = APIRouter()
PAGE = 36  # parts
EXPORTS = (("CSV", "export.csv"), ("Parquet", "export.parquet"), ("COCO", "coco.json"))
_LINES_OF = 200  # last parts whose lines are offered


class _Query(PartSearch):
    """A search, the page of its results, and how they are shown."""

    after: str = Field("", max_length=200)
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
        wanted = wanted_parts(session, search)
        try:
            found = find_parts(session, wanted, query.after or None, PAGE)
        except UsageError as error:
            raise RefusedError(str(error)) from error
        values = _results(search, found, query.view)
        if "hx-request" in request.headers:
            return HTMLResponse(render(request, "parts/results.html.j2", caller, **values))
        lines, counted = _recent_lines(session), count_parts(session, wanted)
    values |= {
        "chips": chips(search),
        "lines": lines,
        "counted": counted,
        "spans": SPAN_NAMES,
        "after": query.after,
    }
    values |= {"exports": _exports(), "exported": export_query(wanted)}
    return page(request, "parts/list.html.j2", caller, **values)


def _results(search: PartSearch, found: Found, view: str) -> dict[str, Any]:
    """Return what the results show: a page of parts, and the query of the next one."""
    more = None if found.after is None else search.parameters(view=view, after=found.after)
    return {"search": search, "parts": found.parts, "more": more, "view": view}


def _exports() -> list[tuple[str, str]]:
    """Return name and address of each kind of export that this installation can make."""
    missing = find_spec("pyarrow") is None
    return [(name, f"/api/v1/parts/{path}") for name, path in EXPORTS
            if not (missing and name == "Parquet")]  # fmt: skip


def _recent_lines(session: Session) -> list[str]:
    newest = select(Part.line).order_by(Part.received_at.desc()).limit(_LINES_OF)
    return sorted({line for line in session.scalars(newest) if line})
