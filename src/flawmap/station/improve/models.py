"""Models of a product: one is live, others are candidates, retired or dropped."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from flawmap.errors import FlawmapError
from flawmap.inspection.bundle.manifest import MANIFEST, Manifest, read_manifest, run_id
from flawmap.station.context import Station
from flawmap.station.database.tables import Model, Product
from flawmap.station.events import Event
from flawmap.station.improve.images import learning_folder
from flawmap.station.improve.products import get_product
from flawmap.station.improve.training import CALIBRATE, DATA
from flawmap.station.insight import versions
from flawmap.station.intake.service import intake_of
from flawmap.station.intake.versions import note_model
from flawmap.station.refusals import RefusedError
from flawmap.station.security import audit
from flawmap.station.security.callers import Caller


def go_live(station: Station, product_id: int, run: Path) -> Model:
    """Make a finished run the product's inspector. Raises FlawmapError if it cannot be loaded."""
    manifest = read_manifest(run)
    with station.database.write() as session:
        product = session.get_one(Product, product_id)
        before = product.model_id
        model = note_model(session, product_id, run, run_id(manifest))
        versions.note(session, product, manifest, folder=run)
        audit.record(session, None, "model.live", product.name, model=model.id)
    _take_over(station, product_id, before)
    return model


def promote(station: Station, caller: Caller, model_id: int) -> Model:
    """Let a candidate, or a retired model again, inspect from now on; no part is lost.

    Raises RefusedError if it is neither, or cannot be loaded; the present one then goes on.
    """
    with station.database.write() as session:
        model = get_model(session, model_id)
        if model.state not in ("candidate", "retired"):
            raise RefusedError(f"This model is {model.state}: only candidates are promoted.", 409)
        product = get_product(session, model.product_id)
        before = product.model_id
        manifest = _readable(model)
        action = "model.promote" if model.state == "candidate" else "model.roll_back"
        _exchange(session, product, model)
        comment = f"Model {model.id}"
        versions.note(session, product, manifest, caller, comment, folder=Path(model.folder))
        audit.record(session, caller, action, product.name, model=model.id, before=before)
    _take_over(station, product.id, before)
    return model


def roll_back(station: Station, caller: Caller, product_id: int) -> Model:
    """Let the model inspect again that did before the present one. Raises RefusedError."""
    with station.database.read() as session:
        previous = previous_model(session, get_product(session, product_id))
    if previous is None:
        raise RefusedError("No other model has inspected this product.", 409)
    return promote(station, caller, previous.id)


def previous_model(session: Session, product: Product) -> Model | None:
    """Return the model that the present one took the place of, if it can inspect again."""
    live = session.get(Model, product.model_id) if product.model_id is not None else None
    parent = session.get(Model, live.parent_id) if live and live.parent_id is not None else None
    return parent if parent is not None and parent.state == "retired" else None


def set_shadow(station: Station, caller: Caller, model_id: int, on: bool) -> Model:
    """Let a candidate judge the same parts without effect, or end that. Raises RefusedError."""
    with station.database.write() as session:
        model = get_model(session, model_id)
        product = get_product(session, model.product_id)
        if on:
            if model.state != "candidate":
                raise RefusedError("Only a candidate runs in shadow.", 409)
            _readable(model)
            product.shadow_id = model.id
        elif product.shadow_id == model.id:
            product.shadow_id = None
        action = f"model.shadow_{'on' if on else 'off'}"
        audit.record(session, caller, action, product.name, model=model.id)
    station.events.publish(Event("products"))
    return model


def drop(station: Station, caller: Caller, model_id: int) -> Model:
    """Give a candidate up: its files are deleted, its comparison stays. Raises RefusedError."""
    with station.database.write() as session:
        model = get_model(session, model_id)
        if model.state != "candidate":
            raise RefusedError(f"This model is {model.state}: only candidates are dropped.", 409)
        product = get_product(session, model.product_id)
        if product.shadow_id == model.id:
            product.shadow_id = None
        model.state = "dropped"
        audit.record(session, caller, "model.drop", product.name, model=model.id)
    run = Path(model.folder)
    if run.is_relative_to(learning_folder(station.config)):
        shutil.rmtree(run, ignore_errors=True)
        for place in (DATA, CALIBRATE):
            shutil.rmtree(run.parent / place, ignore_errors=True)
    station.events.publish(Event("products"))
    return model


def get_model(session: Session, model_id: int) -> Model:
    """Return a model. Raises RefusedError."""
    model = session.get(Model, model_id) if 0 < model_id < 2**63 else None
    if model is None:
        raise RefusedError("There is no such model: load the product's page again.", 404)
    return model


def models_of(session: Session, product_id: int, most: int = 50) -> Sequence[Model]:
    """Return a product's last models, the newest first."""
    own = select(Model).where(Model.product_id == product_id)
    return session.scalars(own.order_by(Model.id.desc()).limit(most)).all()


def has_files(model: Model) -> bool:
    """Whether a model's run folder is still there."""
    with suppress(OSError):
        return (Path(model.folder) / MANIFEST).is_file()
    return False


def _readable(model: Model) -> Manifest:
    try:
        return read_manifest(Path(model.folder))
    except FlawmapError as error:
        raise RefusedError(f"The model cannot be loaded: {error}", 409) from error


def _exchange(session: Session, product: Product, model: Model) -> None:
    """Put a model into the place of the live one."""
    live = session.get(Model, product.model_id) if product.model_id is not None else None
    if live is not None:
        live.state = "retired"
    if model.state == "candidate":
        model.parent_id = None if live is None else live.id
    model.state = "live"
    product.model_id = model.id
    if product.shadow_id == model.id:
        product.shadow_id = None


def _take_over(station: Station, product_id: int, before: int | None) -> None:
    """Load the product's new model; if that fails, put the one of before back and raise."""
    intake = intake_of(station)
    intake.reload()
    live = next((one for one in intake.products if one.id == product_id), None)
    if live is None or live.problem is None:
        return
    problem = live.problem
    with station.database.write() as session:
        product = session.get_one(Product, product_id)
        failed = session.get(Model, product.model_id) if product.model_id is not None else None
        if failed is not None:
            failed.state = "candidate"
        product.model_id = before
        if before is not None:
            session.get_one(Model, before).state = "live"
        audit.record(session, None, "model.refused", product.name, reason=problem)
    intake.reload()
    raise RefusedError(f"The model cannot be loaded, and the one before goes on: {problem}", 409)
