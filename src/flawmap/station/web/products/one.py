"""The page of one product: its inspector, trainings, images to learn from, and its settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Form, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from sqlalchemy.orm import Session

from flawmap.data.image_io.images import ImageError
from flawmap.station.api.ids import RowId
from flawmap.station.context import Station, StationOf
from flawmap.station.database.tables import LearningImage, Product
from flawmap.station.improve import images, jobs, models, products
from flawmap.station.improve.data.known import made_of
from flawmap.station.improve.data.plan import make_plan
from flawmap.station.improve.data.way import choose_way
from flawmap.station.improve.progress import progress_of
from flawmap.station.improve.training import INSTALL, LEAST_GOOD, RUN, Options, can_train
from flawmap.station.intake.service import intake_of
from flawmap.station.security.callers import Engineer
from flawmap.station.web.parts.thumbnails import thumbnail
from flawmap.station.web.rendering import page, render

router = APIRouter()
_SHOWN = 24  # images
_KEPT = {"Cache-Control": "private, max-age=86400"}


@router.get("/products/{product_id}", response_class=HTMLResponse)
def one_product(
    product_id: RowId, request: Request, station: StationOf, caller: Engineer
) -> Response:
    """Show a product."""
    with station.database.read() as session:
        product = products.get_product(session, product_id)
        plan = make_plan(session, product)
        values: dict[str, Any] = {
            "product": product,
            "models": models.models_of(session, product_id),
            "previous": models.previous_model(session, product),
            "plan": plan,
            "way": choose_way(plan, Options()),
            "image_count": images.count_images(session, product_id),
            "images": images.newest_images(session, product_id, _SHOWN),
            "sizes": images.sizes(session, product_id).most_common(4),
            "problem": _problem(station, product_id),
            "least": LEAST_GOOD,
            "install": "" if can_train() else INSTALL,
            **_work(session, product),
        }
    values["usable"] = {one.id for one in values["models"] if models.has_files(one)}
    return page(request, "products/one.html.j2", caller, **values)


@router.get("/products/{product_id}/work", response_class=HTMLResponse)
def work(
    product_id: RowId, request: Request, station: StationOf, caller: Engineer, job: int = 0
) -> Response:
    """Return how far the product's training is; once `job` has ended, the page loads again."""
    with station.database.read() as session:
        product = products.get_product(session, product_id)
        values = _work(session, product)
    shown = values["job"]
    if job and (shown is None or shown.id != job or shown.state not in jobs.OPEN):
        return Response(status_code=204, headers={"HX-Refresh": "true"})
    if shown is None:
        raise HTTPException(404, "This product was not trained yet.")
    return HTMLResponse(render(request, "products/work.html.j2", caller, product=product, **values))


@router.get("/products/images/{image_id}/thumbnail")
def image_thumbnail(image_id: RowId, station: StationOf, _caller: Engineer) -> Response:
    """Send an image to learn from at 256 pixels."""
    with station.database.read() as session:
        row = session.get(LearningImage, image_id)
    if row is None:
        raise HTTPException(404, "There is no such image.")
    try:
        data = thumbnail(images.learning_files(station.config), row.image, row.suffix)
    except (ImageError, OSError) as error:
        raise HTTPException(404, "The image is no longer there.") from error
    return Response(data, media_type="image/webp", headers=_KEPT)


@router.post("/products/{product_id}/images/{image_id}/remove")
def remove_image(
    product_id: RowId, image_id: RowId, station: StationOf, caller: Engineer
) -> Response:
    """Learn no longer from an image."""
    with station.database.write() as session:
        images.remove_image(session, caller, product_id, image_id)
    return RedirectResponse(f"/products/{product_id}#images", 303)


@router.post("/products/{product_id}/settings")
def change(
    product_id: RowId,
    station: StationOf,
    caller: Engineer,
    name: Annotated[str, Form(max_length=200)] = "",
    rule: Annotated[str, Form(max_length=400)] = "",
) -> Response:
    """Change a product's name and rule."""
    with station.database.write() as session:
        product = products.rename(session, caller, product_id, name)
        if (product.rule or "") != rule.strip():
            products.set_rule(session, caller, product_id, rule)
    return _changed(station, product_id)


@router.post("/products/{product_id}/retire")
def retire(product_id: RowId, station: StationOf, caller: Engineer) -> Response:
    """Inspect a product no longer."""
    with station.database.write() as session:
        products.retire(session, caller, product_id)
    return _changed(station, product_id)


@router.post("/products/{product_id}/bring-back")
def bring_back(product_id: RowId, station: StationOf, caller: Engineer) -> Response:
    """Inspect a retired product again."""
    with station.database.write() as session:
        products.bring_back(session, caller, product_id)
    return _changed(station, product_id)


def _changed(station: Station, product_id: int) -> Response:
    intake_of(station).reload()
    return RedirectResponse(f"/products/{product_id}", 303)


def _work(session: Session, product: Product) -> dict[str, Any]:
    """Return the product's last training and how far it is."""
    last = jobs.jobs_of(session, product.id, 1)
    job = last[0] if last else None
    return {
        "job": job,
        "progress": progress_of(Path(job.folder)) if job is not None else None,
        "made": made_of(Path(job.folder) / RUN) if job is not None else None,
        "ahead": jobs.ahead_of(session, job) if job and job.state == "waiting" else 0,
        "active": job is not None and job.state in jobs.OPEN,
    }


def _problem(station: Station, product_id: int) -> str | None:
    found = [one.problem for one in intake_of(station).products if one.id == product_id]
    return found[0] if found else None
