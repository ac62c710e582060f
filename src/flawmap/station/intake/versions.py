"""Versions of settings and models that judged: each has a row before its first verdict has one."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from flawmap.errors import FlawmapError
from flawmap.inspection.bundle.manifest import Manifest, read_manifest, settings_id
from flawmap.inspection.inspector import Inspector
from flawmap.station.database.tables import Model, Product
from flawmap.station.database.tables.base import now
from flawmap.station.insight import versions
from flawmap.station.insight.versions import Settings, is_noted


def note(session: Session, product_id: int, inspector: Inspector) -> None:
    """Add the inspector's settings and model to the product's versions, unless they are there."""
    note_settings(session, product_id, inspector)
    product = session.get_one(Product, product_id)
    live = session.get(Model, product.model_id) if product.model_id is not None else None
    source = inspector.source
    if live is not None and source is not None and live.folder == source.folder:
        note_model(session, product_id, Path(source.folder), inspector.run_id)


def note_settings(session: Session, product_id: int, inspector: Inspector) -> None:
    """Add a version of the product's settings, unless one holds these already."""
    settings = settings_id(inspector.manifest)
    if is_noted(session, product_id, settings):
        return
    folder = Path(inspector.source.folder) if inspector.source is not None else None
    manifest = _whole(inspector, settings, folder)
    versions.note(session, session.get_one(Product, product_id), manifest, folder=folder)


def _whole(inspector: Inspector, settings: str, folder: Path | None) -> Manifest:
    """Return the run's manifest, which has the thresholds of all precisions, if it is the same."""
    if folder is not None:
        with suppress(FlawmapError):  # such as a run that is being copied
            stored = read_manifest(folder)
            if settings in Settings.of(stored).ids.values():
                return stored
    return inspector.manifest


def note_model(session: Session, product_id: int, folder: Path, run: str) -> Model:
    """Return the row of the product's live model, after making it the one of this folder and run.

    A model that was live until now is retired. A candidate of this folder and run, such as one that
    could not be loaded the last time, becomes the live one.
    """
    product = session.get_one(Product, product_id)
    live = session.get(Model, product.model_id) if product.model_id is not None else None
    if live is not None and (live.folder, live.run) == (str(folder), run):
        return live
    if live is not None:
        live.state = "retired"
    same = (Model.product_id == product_id, Model.folder == str(folder), Model.run == run)
    waiting = select(Model).where(*same, Model.state == "candidate").order_by(Model.id)
    model = session.scalar(waiting.limit(1))
    if model is None:
        model = Model(product_id=product_id, run=run, folder=str(folder), created_at=now())
        session.add(model)
    model.state, model.parent_id = "live", None if live is None else live.id
    session.flush()
    product.model_id = model.id
    return model
