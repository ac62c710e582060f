"""The thresholds page: move thresholds and filters, see what would have changed, apply them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import HTMLResponse
from sqlalchemy import select
from sqlalchemy.orm import Session

from flawmap.errors import FlawmapError
from flawmap.inspection.bundle.manifest import Manifest
from flawmap.inspection.conformal import Calibration, images_needed
from flawmap.station.api.thresholds import (
    current_version,
    product_of,
    refusal,
    shown_versions,
)
from flawmap.station.context import Station, StationOf
from flawmap.station.database.tables import Part
from flawmap.station.insight.sampling import ONE_IN
from flawmap.station.insight.thresholds.question import Question, ask, score_bins, stored_parts
from flawmap.station.insight.thresholds.stored import VERDICTS, Range
from flawmap.station.insight.thresholds.whatif import changed
from flawmap.station.security.callers import Operator
from flawmap.station.security.roles import includes
from flawmap.station.web.frame.selection import all_products
from flawmap.station.web.insight.scope import Scope, scope_of
from flawmap.station.web.rendering import page, render

router = APIRouter()
_SHOWN = 24  # changed parts


@router.get("/thresholds", response_class=HTMLResponse)
def thresholds(request: Request, station: StationOf, caller: Operator) -> HTMLResponse:
    """Show the settings in force, controls to try others, and all versions."""
    with station.database.read() as session:
        scope = scope_of(request, session, "7d")
        choice = all_products(session)
    if scope is None:
        values: dict[str, Any] = {"choice": choice, "title": "Thresholds"}
        return page(request, "insight/choose.html.j2", caller, **values)
    try:
        manifest, number = current_version(station, scope.product.id)
    except HTTPException as error:
        values = {"scope": scope, "problem": error.detail}
        return page(request, "thresholds/absent.html.j2", caller, **values)
    may_apply = includes(caller.role, "engineer")
    with station.database.read() as session:
        values = {
            "scope": scope,
            "manifest": manifest,
            "number": number,
            "versions": shown_versions(session, scope.product),
            "data": _data(station, session, scope, manifest, number),
            "needed": images_needed(manifest.calibration.reject.asked),
            "may_apply": may_apply,
            "one_in": ONE_IN,
        }
    return page(request, "thresholds.html.j2", caller, **values)


@router.get("/thresholds/changed", response_class=HTMLResponse)
def changed_parts(
    request: Request,
    station: StationOf,
    caller: Operator,
    product_id: int,
    question: Annotated[Question, Query()],
) -> HTMLResponse:
    """Return the parts whose verdict would change, as tiles."""
    with station.database.read() as session:
        product = product_of(session, product_id)
        try:
            asked = ask(station, session, product, question, 0.0)
        except FlawmapError as error:
            raise refusal(error) from error
        moved = changed(asked.stored, asked.result)
        ids = [int(asked.stored.id[index]) for index in moved[:_SHOWN]]
        found = {one.id: one for one in session.scalars(select(Part).where(Part.id.in_(ids)))}
    after = {
        int(asked.stored.id[index]): VERDICTS[asked.result.verdict[index]]
        for index in moved[:_SHOWN]
    }
    tiles = [(found[id], after[id]) for id in ids if id in found]
    values = {"tiles": tiles, "total": len(moved)}
    return HTMLResponse(render(request, "thresholds/changed.html.j2", caller, **values))


def _data(
    station: Station, session: Session, scope: Scope, manifest: Manifest, number: int
) -> dict[str, Any]:
    """Return what the page's script works with."""
    limits, filters = manifest.calibration, manifest.filters
    start, end, _ = scope.period
    stored = stored_parts(station, session, Range(scope.product.id, start, end, scope.line))
    bins = score_bins(stored, [limits.review.value, limits.reject.value])
    return {
        "product": scope.product.id,
        "start": start,
        "end": end,
        "line": scope.line,
        "seen": number,
        "computed": limits.computed,
        "rates": _rates(limits),
        "present": {
            "false_reject": limits.reject.asked,
            "review": limits.review.asked,
            "reject_value": limits.reject.value,
            "review_value": limits.review.value,
            "min_area": filters.min_area,
            "min_peak": filters.min_peak,
            "merge_distance": filters.merge_distance,
        },
        "bins": bins.model_dump(),
    }


def _rates(limits: Calibration, most: int = 100) -> list[float]:
    """Return rates for a slider: those at which the thresholds change, evenly by their size."""
    count = len(limits.scores)
    ranks = [rank / (count + 1) for rank in range(1, count // 2 + 1)] or [0.5]
    step = (ranks[-1] / ranks[0]) ** (1 / most)
    chosen, least = [], 0.0
    for rate in ranks:
        if rate >= least:
            chosen.append(rate)
            least = rate * step
    return sorted({*chosen, limits.reject.asked, limits.review.asked})
