"""The trends page: is the line as it was, and how often is the inspector wrong?"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse
from pydantic import ValidationError

from flawmap.errors import FlawmapError
from flawmap.inspection.bundle.manifest import Manifest, read_manifest
from flawmap.station.api.trends import Asked, drift_shown, trends_of
from flawmap.station.context import StationOf
from flawmap.station.insight.thresholds.apply import folder_of
from flawmap.station.insight.trends.series import STEPS
from flawmap.station.security.callers import Operator
from flawmap.station.security.roles import includes
from flawmap.station.web.frame.selection import all_products
from flawmap.station.web.insight.scope import Scope, scope_of
from flawmap.station.web.rendering import page

router = APIRouter()
_ZONE = "flawmap_zone"  # cookie: the browser's time zone
_MEASURES = {"reject": "rejected", "flagged": "rejected or sent to review"}


@router.get("/trends", response_class=HTMLResponse)
def trends(request: Request, station: StationOf, caller: Operator) -> HTMLResponse:
    """Show a product's trends in a range."""
    with station.database.read() as session:
        scope = scope_of(request, session, "7d")
        if scope is None:
            values: dict[str, Any] = {"choice": all_products(session), "title": "Trends"}
            return page(request, "insight/choose.html.j2", caller, **values)
        asked = _asked(request, scope)
        found = trends_of(session, scope.product.id, asked)
        drift = drift_shown(station, session, scope.product.id)
        manifest = _manifest(session, scope)
    values = {
        "scope": scope,
        "trends": found,
        "drift": drift,
        "asked": asked,
        "measures": _MEASURES,
        "steps": _choices(scope, asked, found.series.step),
        "may_restart": includes(caller.role, "engineer"),
        "data": {
            "product": scope.product.id,
            "series": found.series.model_dump(),
            "drift": drift.model_dump(include={"at", "capital", "limit", "test"}),
            "limits": None
            if manifest is None
            else [manifest.calibration.review.value, manifest.calibration.reject.value],
        },
    }
    return page(request, "trends.html.j2", caller, **values)


def _asked(request: Request, scope: Scope) -> Asked:
    given = request.query_params
    values = {"start": scope.period.start, "end": scope.period.end, "line": scope.line}
    named = {name: given[name] for name in ("step", "measure") if given.get(name)}
    zone = {"zone": given.get("zone") or request.cookies.get(_ZONE, "UTC")[:64]}
    try:
        return Asked.model_validate(values | named | zone)
    except ValidationError as error:
        wrong = ", ".join(str(one["loc"][-1]) for one in error.errors())
        raise HTTPException(422, f"Not valid in the address: {wrong}.") from error


def _manifest(session: Any, scope: Scope) -> Manifest | None:
    try:
        return read_manifest(folder_of(session, scope.product))
    except FlawmapError:  # without an inspector there are no thresholds to draw
        return None


def _choices(scope: Scope, asked: Asked, step: str) -> dict[str, list[tuple[str, bool, str]]]:
    """Return links for the step and the measure: word, whether it is chosen, and address."""
    kept: dict[str, str] = {"product": scope.product.name}
    kept |= {"line": scope.line} if scope.line else {}
    if scope.period.span:
        kept["span"] = scope.period.span
    else:
        kept |= {"from": _iso(scope.period.start), "to": _iso(scope.period.end)}
    measure = {"measure": asked.measure}
    by: list[tuple[str, bool, str]] = [
        (one, one == step, "?" + urlencode(kept | measure | {"step": one})) for one in STEPS
    ]
    chosen = {"step": asked.step} if asked.step else {}
    of = [
        (word, one == asked.measure, "?" + urlencode(kept | chosen | {"measure": one}))
        for one, word in _MEASURES.items()
    ]
    return {"step": by, "measure": of}


def _iso(microseconds: int) -> str:
    return datetime.fromtimestamp(microseconds / 1e6, UTC).isoformat()
