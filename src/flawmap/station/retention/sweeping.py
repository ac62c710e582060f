"""Service that removes files of images that no part names, such as after a kill or a power cut."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import select

from flawmap.station.context import Station
from flawmap.station.database.engine import Database
from flawmap.station.database.tables import Part
from flawmap.station.insight.looking import Looking
from flawmap.station.parts.files import FOLDERS, FileStore

NAME = "sweeping"
_FOLDERS = 256  # by the first two digits of the digest
_EVERY = 24 * 3600.0  # seconds between the ends of two rounds
_YOUNG = 3600.0  # seconds for which a file stays: its part may be on its way to the database


class Sweeper(Looking):
    """Goes through all files once after the start and once a day, a folder at a time."""

    name = NAME

    def __init__(self, database: Database, files: FileStore) -> None:
        super().__init__()
        self._database, self._files = database, files
        self._next, self._not_before = 0, 0.0

    def step(self) -> bool:
        """Look through one folder; return whether others of this round are left."""
        if time.monotonic() < self._not_before:
            return False
        self.sweep(f"{self._next:02x}")
        self._next = (self._next + 1) % _FOLDERS
        if self._next == 0:
            self._not_before = time.monotonic() + _EVERY
        return self._next != 0

    def sweep(self, digits: str) -> int:
        """Remove files of digests that begin so and that no part names; return how many."""
        old = [path for path in self._found(digits) if time.time() - _changed(path) > _YOUNG]
        if not old:
            return 0
        with self._files.changing:
            named = self._named(digits)
            gone = [path for path in old if path.name[:64] not in named]
            for path in gone:
                path.unlink(missing_ok=True)
        return len(gone)

    def _found(self, digits: str) -> Iterator[Path]:
        for folder in FOLDERS:
            yield from (self._files.folder / folder / digits).glob("*")

    def _named(self, digits: str) -> set[str | None]:
        """Return the digests of images that parts have stored."""
        end = f"{int(digits, 16) + 1:02x}" if digits != "ff" else "g"
        query = select(Part.image).where(Part.image >= digits, Part.image < end, Part.has_image)
        with self._database.read() as session:
            return set(session.scalars(query))


def _changed(path: Path) -> float:
    """Return when a file was changed, in seconds since 1970; never of one that is gone."""
    try:
        return path.stat().st_mtime
    except OSError:
        return float("inf")


def create_service(station: Station) -> Sweeper:
    """Return the service that removes a station's files without parts."""
    return Sweeper(station.database, station.files)
