"""Pages on which a product begins: the list of products, and images dropped for a new one."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from sqlalchemy import func, select
from starlette.concurrency import run_in_threadpool

from flawmap.station.api.ids import RowId
from flawmap.station.api.intake.uploads import read_upload
from flawmap.station.context import Station, StationOf
from flawmap.station.database.tables import Job, Model, Product
from flawmap.station.improve import images, products
from flawmap.station.improve.jobs import OPEN
from flawmap.station.improve.training import INSTALL, LEAST_GOOD, can_train
from flawmap.station.intake.service import intake_of
from flawmap.station.intake.submission import BusyError
from flawmap.station.refusals import RefusedError
from flawmap.station.security.callers import Caller, Engineer
from flawmap.station.web.rendering import page

router = APIRouter()
_TOGETHER = 200  # images of a form without scripts


@router.get("/products", response_class=HTMLResponse)
def list_products(request: Request, station: StationOf, caller: Engineer) -> Response:
    """Show all products with their live model, candidates and trainings."""
    with station.database.read() as session:
        rows = session.scalars(select(Product).order_by(Product.name)).all()
        live = {one.product_id: one for one in session.scalars(_live_models())}
        values: dict[str, Any] = {
            "active": [one for one in rows if one.retired_at is None],
            "retired": [one for one in rows if one.retired_at is not None],
            "live": live,
            "candidates": _counts(session, Model, "candidate"),
            "open_jobs": _counts(session, Job, *OPEN),
            "problems": {one.id: one.problem for one in intake_of(station).products},
        }
    if not rows:
        return RedirectResponse("/products/new", 303)
    return page(request, "products/list.html.j2", caller, **values)


@router.get("/products/new", response_class=HTMLResponse)
def new_product(request: Request, station: StationOf, caller: Engineer) -> Response:
    """Show the page on which a product is made from images of good parts."""
    return _show_new(request, station, caller)


@router.post("/products", response_class=HTMLResponse)
async def create(request: Request, station: StationOf, caller: Engineer) -> Response:
    """Create a product from a form, as browsers without scripts send it."""
    try:
        with intake_of(station).receive() as reserved:
            upload = await read_upload(request, station.config, reserved, _TOGETHER)
            given = [one for one in upload.images if one]
            name = upload.texts.get("name", "")
            product_id = await run_in_threadpool(_create, station, caller, name, given)
    except RefusedError as error:
        return _show_new(request, station, caller, error, typed=upload.texts.get("name", ""))
    except BusyError as error:
        raise HTTPException(503, str(error), {"Retry-After": str(error.seconds)}) from error
    return RedirectResponse(f"/products/{product_id}", 303)


@router.post("/products/{product_id}/images")
async def add_images(
    product_id: RowId, request: Request, station: StationOf, caller: Engineer
) -> Response:
    """Add images from a form, as browsers without scripts send it."""
    try:
        with intake_of(station).receive() as reserved:
            upload = await read_upload(request, station.config, reserved, _TOGETHER)
            added = await run_in_threadpool(
                images.add_images, station, caller, product_id, upload.images
            )
    except BusyError as error:
        raise HTTPException(503, str(error), {"Retry-After": str(error.seconds)}) from error
    if added.refused:
        raise RefusedError(_refused_sentence(added))
    return RedirectResponse(f"/products/{product_id}", 303)


def _create(station: Station, caller: Caller, name: str, given: list[bytes]) -> int:
    with station.database.write() as session:
        product = products.create(session, caller, name or products.free_name(session))
    intake_of(station).reload()
    if given:
        images.add_images(station, caller, product.id, given)
    return product.id


def _refused_sentence(added: images.Added) -> str:
    count, first = len(added.refused), min(added.refused)
    return (
        f"{count} of the files were not taken, such as number {first + 1}: "
        f"{added.refused[first]} The others were."
    )


def _show_new(
    request: Request,
    station: Station,
    caller: Caller,
    error: RefusedError | None = None,
    typed: str = "",
) -> HTMLResponse:
    with station.database.read() as session:
        first = session.scalar(select(Product.id).limit(1)) is None
        suggested = products.free_name(session)
    values: dict[str, Any] = {
        "failure": error.detail if error else "",
        "typed": typed,
        "suggested": suggested,
        "first": first,
        "least": LEAST_GOOD,
        "install": "" if can_train() else INSTALL,
    }
    status = error.status if error else 200
    return page(request, "products/new.html.j2", caller, status, **values)


def _live_models() -> Any:
    return select(Model).join(Product, Product.model_id == Model.id)


def _counts(session: Any, table: Any, *states: str) -> dict[int, int]:
    """Return how many rows in these states each product has."""
    query = select(table.product_id, func.count()).where(table.state.in_(states))
    return dict(session.execute(query.group_by(table.product_id)).all())
