"""Trainings and candidates on pages: start, stop, compare, shadow, promote, drop, roll back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import ValidationError

from flawmap.station.api.ids import RowId
from flawmap.station.context import StationOf
from flawmap.station.improve import compare, models, products
from flawmap.station.improve.data.known import made_of
from flawmap.station.improve.service import trainings_of
from flawmap.station.improve.shadow import shadow_of
from flawmap.station.improve.training import Options
from flawmap.station.refusals import RefusedError
from flawmap.station.security.callers import Engineer
from flawmap.station.web.rendering import page

router = APIRouter()


@router.post("/products/{product_id}/train")
def train(
    product_id: RowId,
    station: StationOf,
    caller: Engineer,
    method: Annotated[str, Form(max_length=20)] = "",
    anew: Annotated[bool, Form()] = False,
    steps: Annotated[str, Form(max_length=20)] = "",
    size: Annotated[str, Form(max_length=20)] = "",
    rotate: Annotated[str, Form(max_length=20)] = "auto",
    folds: Annotated[str, Form(max_length=20)] = "0",
) -> Response:
    """Start a training, or let it wait for its turn."""
    given = {
        "method": method or None,
        "anew": anew,
        "rotate": rotate,
        "folds": int(folds) if folds.isdecimal() else 0,
    }
    more = {"steps": steps.strip() or None, "size": size.strip() or None}
    trainings_of(station).begin(caller, product_id, _options(given | more))
    return RedirectResponse(f"/products/{product_id}", 303)


def _options(values: dict[str, Any]) -> Options:
    try:
        return Options.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        name = first["loc"][0] if first["loc"] else "option"
        raise RefusedError(f"The {name} cannot be used: {first['msg'].lower()}.") from error


@router.post("/trainings/{job_id}/stop")
def stop(job_id: RowId, station: StationOf, caller: Engineer) -> Response:
    """Stop a training; it can go on later."""
    job = trainings_of(station).halt(caller, job_id)
    return RedirectResponse(f"/products/{job.product_id}", 303)


@router.post("/trainings/{job_id}/resume")
def resume(job_id: RowId, station: StationOf, caller: Engineer) -> Response:
    """Let a stopped training go on."""
    job = trainings_of(station).resume(caller, job_id)
    return RedirectResponse(f"/products/{job.product_id}", 303)


@router.get("/models/{model_id}", response_class=HTMLResponse)
def one_model(
    model_id: RowId,
    request: Request,
    station: StationOf,
    caller: Engineer,
    kind: compare.Kind = "compared",
) -> Response:
    """Show a model beside the one that was in force: on reviewed parts, or in its shadow."""
    with station.database.read() as session:
        model = models.get_model(session, model_id)
        product = products.get_product(session, model.product_id)
        compared = {one: compare.compare(session, model_id, one) for one in ("compared", "shadow")}
        values: dict[str, Any] = {
            "model": model,
            "product": product,
            "kind": kind,
            "results": compared,
            "result": compared[kind],
            "differing": compare.disagreements(session, model_id, kind),
            "made": made_of(Path(model.folder)),
        }
    shadow = shadow_of(station)
    values["in_shadow"] = product.shadow_id == model.id
    values["skipped"] = shadow.skipped.get(product.id, 0)
    values["problem"] = shadow.problems.get(model.id)
    return page(request, "products/model.html.j2", caller, **values)


@router.post("/models/{model_id}/promote")
def promote(model_id: RowId, station: StationOf, caller: Engineer) -> Response:
    """Let a candidate, or a retired model again, inspect from now on."""
    model = models.promote(station, caller, model_id)
    return RedirectResponse(f"/products/{model.product_id}", 303)


@router.post("/models/{model_id}/drop")
def drop(model_id: RowId, station: StationOf, caller: Engineer) -> Response:
    """Give a candidate up."""
    model = models.drop(station, caller, model_id)
    return RedirectResponse(f"/products/{model.product_id}", 303)


@router.post("/models/{model_id}/shadow")
def shadow(
    model_id: RowId,
    station: StationOf,
    caller: Engineer,
    on: Annotated[bool, Form()] = False,
) -> Response:
    """Let a candidate judge without effect, or end that."""
    models.set_shadow(station, caller, model_id, on)
    return RedirectResponse(f"/models/{model_id}?kind=shadow", 303)


@router.post("/products/{product_id}/roll-back")
def roll_back(product_id: RowId, station: StationOf, caller: Engineer) -> Response:
    """Let the model inspect again that did before."""
    models.roll_back(station, caller, product_id)
    return RedirectResponse(f"/products/{product_id}", 303)
