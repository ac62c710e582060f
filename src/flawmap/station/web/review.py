"""The review page: one part at a time, by keyboard or touch; and how far reviewers agree."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from flawmap.station.api.reviews import OrderName, measured_agreement
from flawmap.station.context import StationOf
from flawmap.station.database.tables.base import now
from flawmap.station.review.drawing import defect_types
from flawmap.station.review.queue import ORDERS, Which, Wish, count_open
from flawmap.station.security.callers import Operator
from flawmap.station.web.frame.selection import chosen_product
from flawmap.station.web.rendering import page

router = APIRouter()
_QUEUES: dict[Which, str] = {
    "flagged": "Reject and review",
    "review": "Review only",
    "all": "All, good ones too",
    "sample": "Random sample",
    "errors": "Errors",
}
_SECOND = {"0": "No second looks", "0.05": "5 % again", "0.2": "20 % again", "1": "All again"}
_DAY = 86_400_000_000
_COOKIE, _YEAR = "flawmap_order", 365 * 24 * 3600
_PERIODS = {7: "7 days", 30: "30 days", 365: "A year", 0: "Ever"}


@router.get("/review", response_class=HTMLResponse)
def review(
    request: Request,
    station: StationOf,
    caller: Operator,
    order: OrderName | None = None,
    which: Which = "flagged",
    second: Annotated[float, Query(ge=0.0, le=1.0)] = 0.0,
    part: Annotated[int | None, Query(ge=1, lt=2**63)] = None,
) -> HTMLResponse:
    """Show the queue's next part, or first the one that the address names.

    Without an order in the address, that of the person's last choice is taken.
    """
    last = request.cookies.get(_COOKIE, "")
    chosen = order or (last if last in ORDERS else "nearest")
    with station.database.read() as session:
        product = chosen_product(request, session)
        product_id = product.id if product else None
        types = defect_types(session, product_id)
        errors = count_open(session, Wish(which="errors", product_id=product_id))
    setup = {
        "order": chosen,
        "which": which,
        "second": second,
        "product": product.name if product else None,
        "part": part,
        "types": [name for name, _ in types],
        "me": caller.name,
    }
    choices = {
        "order": {name: one.title for name, one in ORDERS.items()},
        "which": _QUEUES | {"errors": f"Errors ({errors})"},
        "second": _SECOND if f"{second:g}" in _SECOND else {f"{second:g}": f"{second:.0%} again"},
    }
    response = page(
        request,
        "review/page.html.j2",
        caller,
        setup=setup,
        choices=choices,
        second=f"{second:g}",
        says=ORDERS[chosen].says,
        errors=errors,
    )
    if chosen != last:
        response.set_cookie(_COOKIE, chosen, max_age=_YEAR, samesite="lax")
    return response


@router.get("/review/agreement", response_class=HTMLResponse)
def agreement(
    request: Request,
    station: StationOf,
    caller: Operator,
    days: Annotated[int, Query(ge=0, le=36_500)] = 30,
) -> HTMLResponse:
    """Show how far people agree on parts that two of them decided on."""
    since = now() - days * _DAY if days else 0
    with station.database.read() as session:
        product = chosen_product(request, session)
        found = measured_agreement(session, max(since, 0), product.name if product else None)
    return page(
        request, "review/agreement.html.j2", caller, found=found, days=days, periods=_PERIODS
    )
