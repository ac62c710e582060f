"""Service that removes files of images that no part names, such as after a kill or a power cut."""

from __future__ import annotations

import logging
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
_BEGINNINGS = tuple(f"{number:02x}" for number in range(256))  # of digests: a folder each
_WAIT = 3600.0  # seconds until the first round: somebody may be restoring a backup
_EVERY = 24 * 3600.0  # seconds between two rounds
_YOUNG = 3600.0  # seconds for which a file stays: its part may be on its way to the database
_LOG = logging.getLogger("flawmap.station")


class Sweeper(Looking):
    """Goes through all files an hour after the start and once a day, a folder at a time.

    It counts first. Where most files have no part, they belong to another database, such as one
    that is yet to be restored: then it removes nothing, and says so.
    """

    name = NAME

    def __init__(self, database: Database, files: FileStore, wait: float = _WAIT) -> None:
        """`wait`: seconds until the first round."""
        super().__init__()
        self._database, self._files = database, files
        self._not_before = time.monotonic() + wait
        self._round = self.sweep()

    def step(self) -> bool:
        """Look through one folder; return whether others of this round are left."""
        if time.monotonic() < self._not_before:
            return False
        for _ in self._round:
            return True
        self._round, self._not_before = self.sweep(), time.monotonic() + _EVERY
        return False

    def sweep(self) -> Iterator[None]:
        """Count old files with and without a part, then remove the latter; yield after a folder."""
        kept = lost = 0
        for digits in _BEGINNINGS:
            old = self._old(digits)
            without = self._without_part(digits, old)
            kept, lost = kept + len(old) - len(without), lost + len(without)
            yield
        if lost > kept:
            _LOG.warning(
                "%d of %d files in %s are of no part. Nothing is removed: do they belong to "
                "another database?",
                *(lost, lost + kept, self._files.folder),
            )
        for digits in _BEGINNINGS if 0 < lost <= kept else ():
            with self._files.changing:
                for path in self._without_part(digits, self._old(digits)):
                    path.unlink(missing_ok=True)
            yield

    def _old(self, digits: str) -> list[Path]:
        """Return the files of digests that begin so, except young ones."""
        folders = [self._files.folder / folder / digits for folder in FOLDERS]
        found = [path for folder in folders for path in folder.glob("*")]
        return [path for path in found if time.time() - _changed(path) > _YOUNG]

    def _without_part(self, digits: str, paths: list[Path]) -> list[Path]:
        """Return those of the files that no part names."""
        if not paths:
            return []
        query = select(Part.image).where(Part.image >= digits, Part.image < f"{digits}g")
        with self._database.read() as session:
            named = set(session.scalars(query.where(Part.has_image)))
        return [path for path in paths if path.name[:64] not in named]


def _changed(path: Path) -> float:
    """Return when a file was changed, in seconds since 1970; of one that is gone: never."""
    try:
        return path.stat().st_mtime
    except OSError:
        return float("inf")


def create_service(station: Station) -> Sweeper:
    """Return the service that removes a station's files without parts."""
    return Sweeper(station.database, station.files)
