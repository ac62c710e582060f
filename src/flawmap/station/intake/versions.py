"""Versions of settings and models that judged: each has a row before its first verdict has one."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from flawmap.inspection.bundle.manifest import Manifest, settings_id
from flawmap.inspection.inspector import Inspector
from flawmap.station.database.tables import Model, Product, SettingsVersion
from flawmap.station.database.tables.base import now


def note(session: Session, product_id: int, inspector: Inspector) -> None:
    """Add the inspector's settings and model to the product's versions, unless they are there."""
    note_settings(session, product_id, inspector)
    product = session.get_one(Product, product_id)
    live = session.get(Model, product.model_id) if product.model_id is not None else None
    source = inspector.source
    if live is not None and source is not None and live.folder == source.folder:
        note_model(session, product_id, Path(source.folder), inspector.run_id)


def note_settings(session: Session, product_id: int, inspector: Inspector) -> None:
    """Add a version of the product's settings, unless it has these for this model already."""
    version, model = SettingsVersion, inspector.provenance.model
    settings = settings_id(inspector.manifest)
    own = version.product_id == product_id
    same = select(version.id).where(own, version.settings == settings, version.model == model)
    if session.scalar(same.limit(1)) is not None:
        return
    highest = session.scalar(select(func.max(version.number)).where(own)) or 0
    session.add(
        version(
            product_id=product_id,
            number=highest + 1,
            settings=settings,
            model=model,
            values=settings_values(inspector.manifest),
            comment=None,
            user_id=None,
            created_at=now(),
        )
    )


def settings_values(manifest: Manifest) -> dict[str, object]:
    """Return thresholds, filters and region of a manifest as JSON types."""
    calibration = manifest.calibration
    return {
        "reject": calibration.reject.value,
        "review": calibration.review.value,
        "pixel": calibration.pixel.value,
        "filters": manifest.filters.model_dump(mode="json"),
        "region": manifest.region,
    }


def note_model(session: Session, product_id: int, folder: Path, run: str) -> Model:
    """Return the row of the product's live model, after making it the one of this folder and run.

    A model that was live until now is retired.
    """
    product = session.get_one(Product, product_id)
    live = session.get(Model, product.model_id) if product.model_id is not None else None
    if live is not None and (live.folder, live.run) == (str(folder), run):
        return live
    if live is not None:
        live.state = "retired"
    made = Model(
        product_id=product_id,
        run=run,
        folder=str(folder),
        state="live",
        parent_id=None if live is None else live.id,
        note=None,
        created_at=now(),
    )
    session.add(made)
    session.flush()
    product.model_id = made.id
    return made
