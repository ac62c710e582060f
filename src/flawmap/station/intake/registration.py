"""Registration of the runs that `flawmap serve` names: a new one becomes a product's model."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from flawmap.errors import UsageError
from flawmap.inspection.bundle.manifest import read_manifest, run_id
from flawmap.station.database.engine import Database
from flawmap.station.database.tables import Model, Product
from flawmap.station.database.tables.base import now
from flawmap.station.intake.versions import note_model
from flawmap.station.security import audit

_NAMED = re.compile(r"([^=/\\]+)=(.+)", re.DOTALL)
_LONGEST = 100  # characters that a product's name may have


class NamedPath(NamedTuple):
    """A path with the name that stands before it, or None."""

    name: str | None
    path: Path


def parse_named(text: str) -> NamedPath:
    """Split `NAME=PATH`; what exists as a path of that name is one.

    >>> parse_named("board=runs/a").name, parse_named("runs/a").name
    ('board', None)
    """
    match = _NAMED.fullmatch(text)
    if match is None or Path(text).exists():
        return NamedPath(None, Path(text))
    return NamedPath(match[1].strip(), Path(match[2]))


class _Given(NamedTuple):
    """A run that the station was started with."""

    text: str
    name: str
    folder: str
    run: str


def register_runs(database: Database, runs: Sequence[str], say: Callable[[str], None]) -> set[int]:
    """Make each `[NAME=]RUN` the live model of the product NAME, by default the folder's name.

    A run that is a model of a product already changes nothing: people may since have promoted
    another model, or renamed or retired the product. `say` gets a line where the run does not judge
    the parts of NAME. Return the ids of the products whose live model is one of these runs.

    Raises UsageError if two have one name, FlawmapError if a run cannot be read.
    """
    given = _read(runs)
    judged = set()
    with database.write() as session:
        for one in given.values():
            product = _product(session, one, given.keys())
            judges = _register(session, product, one)
            if judges:
                judged.add(product.id)
            if remark := _remark(one, product, judges):
                say(remark)
    return judged


def _read(runs: Sequence[str]) -> dict[str, _Given]:
    """Return the runs by the names of their products."""
    given: dict[str, _Given] = {}
    for text in runs:
        said, run = parse_named(text)
        name = said or run.resolve().name
        if not name or len(name) > _LONGEST or not name.isprintable():
            raise UsageError(f"{text}: give a product's name of 1 to {_LONGEST} characters.")
        if name in given:
            raise UsageError(f"Two runs are for the product {name}: name them, as NAME=RUN.")
        given[name] = _Given(text, name, str(run.absolute()), run_id(read_manifest(run)))
    return given


def _product(session: Session, given: _Given, names: Collection[str]) -> Product:
    """Return the product that has a model in this folder, the one of this name, or a new one.

    Its owner may have another name since, unless `names` has a run for that one, too.
    """
    owning = select(Model.product_id).where(Model.folder == given.folder, Model.state != "dropped")
    owners = session.scalars(select(Product).where(Product.id.in_(owning)).order_by(Product.id))
    found = {one.name: one for one in owners if one.name == given.name or one.name not in names}
    if found:
        return found.get(given.name) or next(iter(found.values()))
    product = session.scalar(select(Product).where(Product.name == given.name))
    if product is None:
        product = Product(name=given.name, created_at=now())
        session.add(product)
        session.flush()
        audit.record(session, None, "product.create", product.name)
    return product


def _register(session: Session, product: Product, given: _Given) -> bool:
    """Make a run that is new to the product its live model; return whether it judges its parts."""
    before = product.model_id
    live = session.get(Model, before) if before is not None else None
    is_new = not _is_known(session, product, given)
    if is_new and product.retired_at is not None:
        product.retired_at = None
        audit.record(session, None, "product.bring_back", product.name)
    if live is not None and live.folder != given.folder and not is_new:
        return False
    model = note_model(session, product.id, Path(given.folder), given.run)
    if model.id != before:
        audit.record(session, None, "model.live", product.name, model=model.id, before=before)
    return True


def _is_known(session: Session, product: Product, given: _Given) -> bool:
    """Whether the run is or was a model of the product."""
    same = (Model.product_id == product.id, Model.folder == given.folder, Model.run == given.run)
    known = select(Model.id).where(*same, Model.state != "dropped")
    return session.scalar(known.limit(1)) is not None


def _remark(given: _Given, product: Product, judges: bool) -> str | None:
    """Return what people should know of a run that does not judge the parts of its product."""
    if product.retired_at is not None:
        return f"{given.text}: the product {product.name} is retired. Bring it back on its page."
    if not judges:
        return (
            f"{given.text}: another model judges the product {product.name}. "
            "To let this one judge, promote it on the product's page."
        )
    if product.name != given.name:
        return (
            f"{given.text}: this run is the model of the product {product.name}. "
            f"To make it the model of {given.name} as well, name both."
        )
    return None
