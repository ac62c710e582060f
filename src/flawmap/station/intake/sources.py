"""Sources: what brings parts by itself, each started and stopped as its row says."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, cast

from sqlalchemy import select
from sqlalchemy.orm import Session

from flawmap.errors import UsageError
from flawmap.station.database.engine import Database
from flawmap.station.database.tables import Product, SourceSettings
from flawmap.station.database.tables.base import now
from flawmap.station.intake.folders import FolderSource
from flawmap.station.intake.registration import parse_named
from flawmap.station.intake.service import InspectionService, intake_of

if TYPE_CHECKING:
    from flawmap.station.context import Station

NAME = "sources"
_NAME = 60  # characters


class Source(Protocol):
    """A thread that submits images; `problem` says why it cannot."""

    problem: str | None

    def start(self) -> None:
        """Begin."""

    def stop(self) -> None:
        """Submit nothing more; returns at once."""

    def join(self) -> None:
        """Return when it has ended."""


KINDS: dict[str, Callable[[SourceSettings, InspectionService, Database], Source]] = {
    "folder": FolderSource
}
"""How a source of each kind is made from its row."""


class Sources:
    """All sources that are not disabled."""

    def __init__(self, station: Station) -> None:
        self._database, self._intake = station.database, intake_of(station)
        self._lock = threading.Lock()
        self._running: dict[int, tuple[object, Source]] = {}

    def start(self) -> None:
        """Start all sources."""
        self.reload()

    def stop(self) -> None:
        """Stop all sources; what they submitted is inspected."""
        with self._lock:
            self._end(list(self._running))

    def reload(self) -> None:
        """Start, stop and restart sources as their rows are now."""
        enabled = select(SourceSettings).where(SourceSettings.disabled_at.is_(None))
        with self._lock:
            with self._database.read() as session:
                rows = {row.id: row for row in session.scalars(enabled) if row.kind in KINDS}
            wanted = {key: _settings(row) for key, row in rows.items()}
            self._end([k for k, (had, _) in self._running.items() if wanted.get(k) != had])
            for key in wanted.keys() - self._running.keys():
                source = KINDS[rows[key].kind](rows[key], self._intake, self._database)
                source.start()
                self._running[key] = wanted[key], source

    def _end(self, keys: Sequence[int]) -> None:
        ended = [self._running.pop(key)[1] for key in keys]
        for source in ended:
            source.stop()
        for source in ended:
            source.join()

    def is_running(self, source_id: int) -> bool:
        """Whether a source brings parts now."""
        return source_id in self._running

    def problem(self, source_id: int) -> str | None:
        """Return why a source that runs brings nothing, if so."""
        found = self._running.get(source_id)
        return None if found is None else found[1].problem


def _settings(row: SourceSettings) -> object:
    return row.name, row.kind, row.product_id, row.settings


def create_service(station: Station) -> Sources:
    """Create the service, after adding the folders that the station was started with.

    Raises UsageError for one that does not exist, or whose product is not named.
    """
    with station.database.write() as session:
        for text in station.config.watch:
            _register(session, text)
    return Sources(station)


def sources_of(station: Station) -> Sources:
    """Return the station's sources."""
    return cast(Sources, station.services[NAME])


def _register(session: Session, text: str) -> None:
    """Add the source of `[PRODUCT=]DIR`, or enable it again."""
    name, path = parse_named(text)
    if not path.is_dir():
        raise UsageError(f"No such folder: {path}. Give the folder that the camera writes to.")
    product_id, folder = _product_id(session, name, text), {"folder": str(path.absolute())}
    rows = session.scalars(select(SourceSettings).where(SourceSettings.kind == "folder")).all()
    row = next((one for one in rows if one.settings == folder), None)
    if row is None:
        row = SourceSettings(kind="folder", settings=folder, created_at=now())
        row.name = _free_name(session, path.absolute().name)
        session.add(row)
    row.product_id, row.disabled_at = product_id, None
    session.flush()


def _product_id(session: Session, name: str | None, text: str) -> int:
    current = select(Product).where(Product.retired_at.is_(None))
    products = {one.name: one.id for one in session.scalars(current)}
    if name is None and len(products) == 1:
        return next(iter(products.values()))
    if name not in products:
        names = ", ".join(products) or "none yet"
        raise UsageError(f"--watch {text}: give PRODUCT=DIR with one of the products: {names}.")
    return products[name]


def _free_name(session: Session, name: str) -> str:
    taken = set(session.scalars(select(SourceSettings.name)))
    names = (f"{name[: _NAME - 5] or 'folder'}{end}" for end in ["", *map(str, range(2, 1000))])
    return next(one for one in names if one not in taken)
