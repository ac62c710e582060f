"""API of products: create and change them, give images to learn from, train, promote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from pydantic import BaseModel, Field
from sqlalchemy import select
from starlette.concurrency import run_in_threadpool

from flawmap.station.api.ids import RowId
from flawmap.station.api.intake.uploads import read_upload
from flawmap.station.context import StationOf
from flawmap.station.database.tables import Job, Model, Product
from flawmap.station.improve import compare, images, jobs, models, products
from flawmap.station.improve.progress import progress_of
from flawmap.station.improve.service import trainings_of
from flawmap.station.improve.training import Options
from flawmap.station.intake.service import intake_of
from flawmap.station.intake.submission import BusyError
from flawmap.station.security.callers import Managing, Reading

router = APIRouter(prefix="/api/v1", tags=["products"])
_TOGETHER = 32  # images of one upload


class ProductAnswer(BaseModel):
    """A product."""

    id: int
    name: str
    rule: str | None = Field(description="regular expression for whole part numbers")
    model: int | None = Field(description="id of the model that inspects; none: train one")
    shadow: int | None = Field(description="id of the candidate that judges without effect")
    created_at: int = Field(description="microseconds since 1970, UTC")
    retired_at: int | None

    @classmethod
    def of(cls, row: Product) -> ProductAnswer:
        """Return the answer for a row."""
        return cls(model=row.model_id, shadow=row.shadow_id, **_same(row, cls))


class ModelAnswer(BaseModel):
    """A model of a product."""

    id: int
    product_id: int
    run: str = Field(description="run id, as records name it")
    state: str = Field(description="candidate, live, retired or dropped")
    parent_id: int | None = Field(description="model that it came after")
    created_at: int

    @classmethod
    def of(cls, row: Model) -> ModelAnswer:
        """Return the answer for a row."""
        return cls(**_same(row, cls))


class JobAnswer(BaseModel):
    """A training."""

    id: int
    product_id: int
    kind: str = Field(description="begin: goes live; improve: becomes a candidate")
    state: str = Field(description="waiting, running, done, failed or stopped")
    message: str | None = Field(description="what it does now, or how it ended")
    step: int = Field(0, description="training steps done")
    steps: int | None = Field(None, description="of all; null until the training says so")
    created_at: int
    started_at: int | None
    ended_at: int | None

    @classmethod
    def of(cls, row: Job) -> JobAnswer:
        """Return the answer for a row."""
        done = progress_of(Path(row.folder))
        return cls(step=done.step, steps=done.steps, **_same(row, cls))


class NewProduct(BaseModel):
    """A product to be created."""

    name: str | None = Field(None, max_length=100, description="none: the station chooses one")
    rule: str | None = Field(None, max_length=200)


class NewName(BaseModel):
    """Another name of a product."""

    name: str = Field(max_length=100)


class NewRule(BaseModel):
    """Another rule of a product."""

    rule: str | None = Field(max_length=200, description="null for none")


class AddedImages(BaseModel):
    """What became of uploaded images, by their place in the form, counted from 0."""

    ids: list[int] = Field(description="ids of the images that are new")
    known: list[int] = Field(description="places of those that were there already")
    refused: dict[int, str] = Field(description="why others cannot be used")
    total: int = Field(description="images of the product to learn from")


@router.get("/products")
def list_products(station: StationOf, _caller: Reading) -> list[ProductAnswer]:
    """List all products by name, also retired ones."""
    with station.database.read() as session:
        return [ProductAnswer.of(one) for one in session.scalars(_by_name())]


@router.post("/products", status_code=201)
def create_product(new: NewProduct, station: StationOf, caller: Managing) -> ProductAnswer:
    """Create a product. Give it images of good parts, then start a training."""
    with station.database.write() as session:
        name = new.name if (new.name or "").strip() else products.free_name(session)
        product = products.create(session, caller, name or "", new.rule)
    intake_of(station).reload()
    return ProductAnswer.of(product)


@router.get("/products/{product_id}")
def get_product(product_id: RowId, station: StationOf, _caller: Reading) -> ProductAnswer:
    """Return a product."""
    with station.database.read() as session:
        return ProductAnswer.of(products.get_product(session, product_id))


@router.post("/products/{product_id}/name")
def rename(product_id: RowId, new: NewName, station: StationOf, caller: Managing) -> ProductAnswer:
    """Give a product another name; its parts, models and settings stay."""
    with station.database.write() as session:
        product = products.rename(session, caller, product_id, new.name)
    intake_of(station).reload()
    return ProductAnswer.of(product)


@router.post("/products/{product_id}/rule")
def set_rule(
    product_id: RowId, new: NewRule, station: StationOf, caller: Managing
) -> ProductAnswer:
    """Set which part numbers belong to a product."""
    with station.database.write() as session:
        product = products.set_rule(session, caller, product_id, new.rule)
    intake_of(station).reload()
    return ProductAnswer.of(product)


@router.post("/products/{product_id}/retire")
def retire(product_id: RowId, station: StationOf, caller: Managing) -> ProductAnswer:
    """Inspect a product no longer; nothing of it is deleted."""
    with station.database.write() as session:
        product = products.retire(session, caller, product_id)
    intake_of(station).reload()
    return ProductAnswer.of(product)


@router.post("/products/{product_id}/images", openapi_extra={
    "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": {
        "type": "object", "required": ["images"],
        "properties": {"images": {
            "type": "array", "maxItems": _TOGETHER, "items": {"type": "string", "format": "binary"},
        }},
    }}}},
})  # fmt: skip
async def add_images(
    product_id: RowId, request: Request, station: StationOf, caller: Managing
) -> AddedImages:
    """Give images of good parts to learn from, as files `images` of a form; each is decoded."""
    try:
        with intake_of(station).receive() as reserved:
            upload = await read_upload(request, station.config, reserved, _TOGETHER)
            added = await run_in_threadpool(
                images.add_images, station, caller, product_id, upload.images
            )
    except BusyError as error:
        raise HTTPException(503, str(error), {"Retry-After": str(error.seconds)}) from error
    with station.database.read() as session:
        total = images.count_images(session, product_id)
    return AddedImages(ids=added.ids, known=added.known, refused=added.refused, total=total)


@router.post("/products/{product_id}/trainings", status_code=201)
def train(product_id: RowId, options: Options, station: StationOf, caller: Managing) -> JobAnswer:
    """Start a training, or let it wait for its turn: one runs at a time."""
    return JobAnswer.of(trainings_of(station).begin(caller, product_id, options))


@router.get("/trainings/{job_id}")
def get_training(job_id: RowId, station: StationOf, _caller: Reading) -> JobAnswer:
    """Return how far a training is."""
    with station.database.read() as session:
        return JobAnswer.of(jobs.get_job(session, job_id))


@router.post("/trainings/{job_id}/stop")
def stop_training(job_id: RowId, station: StationOf, caller: Managing) -> JobAnswer:
    """Stop a training; it can go on from its newest checkpoint."""
    return JobAnswer.of(trainings_of(station).halt(caller, job_id))


@router.post("/trainings/{job_id}/resume")
def resume_training(job_id: RowId, station: StationOf, caller: Managing) -> JobAnswer:
    """Let a stopped or failed training go on."""
    return JobAnswer.of(trainings_of(station).resume(caller, job_id))


@router.get("/products/{product_id}/models")
def list_models(product_id: RowId, station: StationOf, _caller: Reading) -> list[ModelAnswer]:
    """List a product's last models, the newest first."""
    with station.database.read() as session:
        products.get_product(session, product_id)
        return [ModelAnswer.of(one) for one in models.models_of(session, product_id)]


@router.get("/models/{model_id}/comparison")
def comparison(
    model_id: RowId, station: StationOf, _caller: Reading, kind: compare.Kind = "compared"
) -> compare.Comparison:
    """Compare a candidate with the model in force, on reviewed parts or on those of its shadow."""
    with station.database.read() as session:
        models.get_model(session, model_id)
        return compare.compare(session, model_id, kind)


@router.post("/models/{model_id}/promote")
def promote(model_id: RowId, station: StationOf, caller: Managing) -> ModelAnswer:
    """Let a candidate, or a retired model again, inspect from now on, without a restart."""
    return ModelAnswer.of(models.promote(station, caller, model_id))


@router.post("/models/{model_id}/drop")
def drop(model_id: RowId, station: StationOf, caller: Managing) -> ModelAnswer:
    """Give a candidate up, and delete its files."""
    return ModelAnswer.of(models.drop(station, caller, model_id))


@router.post("/models/{model_id}/shadow/{switch}")
def shadow(model_id: RowId, switch: bool, station: StationOf, caller: Managing) -> ModelAnswer:
    """Let a candidate judge the same parts without effect (`true`), or end that (`false`)."""
    return ModelAnswer.of(models.set_shadow(station, caller, model_id, switch))


@router.post("/products/{product_id}/roll-back")
def roll_back(product_id: RowId, station: StationOf, caller: Managing) -> ModelAnswer:
    """Let the model inspect again that did before the present one."""
    return ModelAnswer.of(models.roll_back(station, caller, product_id))


def _by_name() -> Any:
    return select(Product).order_by(Product.name)


def _same(row: object, answer: type[BaseModel]) -> dict[str, Any]:
    """Return the columns that an answer has under the same name."""
    return {name: getattr(row, name) for name in answer.model_fields if hasattr(row, name)}
