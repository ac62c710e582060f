"""Registration of the runs that `flawmap serve` names: each becomes the model of a product."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from flawmap.errors import UsageError
from flawmap.inspection.bundle.manifest import read_manifest, run_id
from flawmap.station.database.engine import Database
from flawmap.station.database.tables import Product
from flawmap.station.database.tables.base import now
from flawmap.station.intake.versions import note_model

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


def _name_and_run(text: str) -> tuple[str, Path]:
    given, run = parse_named(text)
    return given or run.resolve().name, run


def product_names(runs: Sequence[str]) -> set[str]:
    """Return the names of the products of these runs."""
    return {_name_and_run(text)[0] for text in runs}


def register_runs(database: Database, runs: Sequence[str]) -> None:
    """Make each `[NAME=]RUN` the live model of the product NAME, by default the folder's name.

    Raises UsageError if two have one name, FlawmapError if a run cannot be read.
    """
    found: dict[str, tuple[Path, str]] = {}
    for text in runs:
        name, run = _name_and_run(text)
        folder = run.absolute()
        if not name or len(name) > _LONGEST or not name.isprintable():
            raise UsageError(f"{text}: give a product's name of 1 to {_LONGEST} characters.")
        if name in found:
            raise UsageError(f"Two runs are for the product {name}: name them, as NAME=RUN.")
        found[name] = folder, run_id(read_manifest(run))
    with database.write() as session:
        for name, (folder, identity) in found.items():
            product = _product(session, name)
            note_model(session, product.id, folder, identity)


def _product(session: Session, name: str) -> Product:
    """Return the product of this name, in use from now on."""
    product = session.scalar(select(Product).where(Product.name == name))
    if product is None:
        product = Product(name=name, created_at=now())
        session.add(product)
        session.flush()
    product.retired_at = None
    return product
