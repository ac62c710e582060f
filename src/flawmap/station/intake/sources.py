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
from flawmap.station.intake.camera.source import CameraSource
from flawmap.station.intake.camera.where import Camera, where_of
from flawmap.station.intake.folders import FolderSource
from flawmap.station.intake.registration import parse_named
from flawmap.station.intake.service import InspectionService, intake_of
from flawmap.station.refusals import RefusedError
from flawmap.station.security.audit import record
from flawmap.station.security.callers import Caller
from flawmap.station.security.users import clean_name

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
    "folder": FolderSource,
    "camera": CameraSource,
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

    def dropped(self) -> dict[str, int]:
        """Return by camera how many images it lost because the queue was full."""
        running = [source for _, source in list(self._running.values())]
        return {one.shown: one.dropped for one in running if isinstance(one, CameraSource)}

    def camera(self, source_id: int) -> CameraSource | None:
        """Return a camera that runs."""
        found = self._running.get(source_id)
        return found[1] if found is not None and isinstance(found[1], CameraSource) else None

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
    """Create the service, after adding the folders and cameras that the station was started with.

    Raises UsageError for one that does not exist, or whose product is not named.
    """
    with station.database.write() as session:
        for text in station.config.watch:
            _register_folder(session, text)
        for text in station.config.camera:
            _register_camera(session, text)
    return Sources(station)


def sources_of(station: Station) -> Sources:
    """Return the station's sources."""
    return cast(Sources, station.services[NAME])


def add_source(
    session: Session, caller: Caller, name: str, product_id: int, camera: Camera
) -> SourceSettings:
    """Add a camera. Raises RefusedError for a used name, or a product that there is not."""
    product = session.get(Product, product_id)
    if product is None or product.retired_at is not None:
        raise RefusedError("There is no such product.", 404)
    name = clean_name(name)
    if session.scalar(select(SourceSettings.id).where(SourceSettings.name == name)) is not None:
        raise RefusedError(f"There is a source {name} already.", 409)
    row = SourceSettings(name=name, kind="camera", product_id=product_id, created_at=now())
    row.settings = camera.model_dump(mode="json")
    session.add(row)
    session.flush()
    record(session, caller, "source.create", name, where=camera.address, product=product.name)
    return row


def switch_source(station: Station, caller: Caller, source_id: int, *, on: bool) -> SourceSettings:
    """Let a source bring parts, or stop it. Raises RefusedError (404) if there is none."""
    with station.database.write() as session:
        row = session.get(SourceSettings, source_id)
        if row is None:
            raise RefusedError("There is no such source: see /api/v1/sources.", 404)
        row.disabled_at = None if on else row.disabled_at or now()
        record(session, caller, f"source.{'enable' if on else 'disable'}", row.name)
    sources_of(station).reload()
    return row


def _register_folder(session: Session, text: str) -> None:
    """Add the source of `[PRODUCT=]DIR`, or enable it again."""
    name, path = parse_named(text)
    if not path.is_dir():
        raise UsageError(f"No such folder: {path}. Give the folder that the camera writes to.")
    folder = path.absolute()
    settings: dict[str, object] = {"folder": str(folder)}
    _enable(session, "folder", name, f"--watch {text}", settings, folder.name)


def _register_camera(session: Session, text: str) -> None:
    """Add the camera of `[PRODUCT=]WHERE`, or enable it again."""
    where, name = where_of(text), None
    if where is None:
        named = parse_named(text)
        name, where = named.name, where_of(str(named.path)) or where_of(text.partition("=")[2])
    if where is None:
        raise UsageError(
            f"--camera {text}: give a device's number, such as 0, a video file that exists, or a "
            "URL that begins with rtsp://, rtsps://, http:// or https://."
        )
    settings = Camera(where=where).model_dump(mode="json")
    _enable(session, "camera", name, f"--camera {text}", settings, Camera(where=where).address)


def _enable(
    session: Session,
    kind: str,
    product: str | None,
    text: str,
    settings: dict[str, object],
    name: str,
) -> None:
    """Add a source, or switch the one on that brings images from the same place.

    That one keeps its product if none of the name `product` is in use, such as after a renaming.
    """
    place = "folder" if kind == "folder" else "where"
    rows = session.scalars(select(SourceSettings).where(SourceSettings.kind == kind)).all()
    row = next((one for one in rows if one.settings[place] == settings[place]), None)
    product_id = _product_id(session, product, text, None if row is None else row.product_id)
    if row is None:
        row = SourceSettings(kind=kind, settings=settings, created_at=now())
        row.name = _free_name(session, name)
        session.add(row)
    row.product_id, row.disabled_at = product_id, None
    session.flush()


def _product_id(session: Session, name: str | None, text: str, present: int | None) -> int:
    current = select(Product).where(Product.retired_at.is_(None))
    products = {one.name: one.id for one in session.scalars(current)}
    if name in products:
        return products[name]
    if present is not None:
        return present
    if name is None and len(products) == 1:
        return next(iter(products.values()))
    names = ", ".join(products) or "none yet"
    raise UsageError(f"{text}: name the product, as PRODUCT=PLACE; products: {names}.")


def _free_name(session: Session, name: str) -> str:
    taken = set(session.scalars(select(SourceSettings.name)))
    names = (f"{name[: _NAME - 5] or 'folder'}{end}" for end in ["", *map(str, range(2, 1000))])
    return next(one for one in names if one not in taken)
