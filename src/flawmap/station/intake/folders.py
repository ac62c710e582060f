"""Watched folder as a source of parts: each image that a camera drops is inspected exactly once."""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from concurrent.futures import Future
from pathlib import Path, PurePath

from sqlalchemy import select

from flawmap.data.image_io.images import ImageError, read_file
from flawmap.inspection.watching.arrivals import Arrivals, Version
from flawmap.station.database.engine import Database
from flawmap.station.database.tables import Part, SourceSettings
from flawmap.station.intake.service import InspectionService
from flawmap.station.intake.submission import Answer, BusyError, IncompleteError, Submission
from flawmap.utils.printable import printable

SETTLED = 0.4  # seconds without change after which a file counts as written
_POLL = 0.2  # seconds between two looks at the folder, at most
_SHORTEST = 0.005
_PATIENCE = 5.0  # seconds an unreadable image may stay unchanged before it counts as broken
_RETRY = 0.5  # seconds until an unreadable image is read again
_BUSY = 0.05  # seconds until a full queue is tried again
_LATER = 5.0  # seconds until an image is tried again that could not be submitted or stored
_TOGETHER = 16  # images of a folder in the queue at once, so that others find place in it
_NUMBER = 200  # characters of a part number
_LOG = logging.getLogger("flawmap.station")


class Done:
    """Versions of files that have a part, as digests: a million take some 100 MB.

    The database holds them as the parts' keys, so that no file is inspected twice, also if the
    station is killed between two files.
    """

    def __init__(self, database: Database, source_id: int) -> None:
        self._prefix = f"folder:{source_id}:"
        keys = select(Part.key).where(Part.key.startswith(self._prefix, autoescape=True))
        with database.read() as session:
            rows = session.scalars(keys.execution_options(yield_per=10_000))
            self._digests = {bytes.fromhex(key[len(self._prefix) :]) for key in rows if key}

    def __contains__(self, version: object) -> bool:
        return _digest(version) in self._digests

    def add(self, version: Version) -> None:
        """Note a version that has a part now."""
        self._digests.add(_digest(version))

    def key(self, version: Version) -> str:
        """Return the key of the part of a version."""
        return self._prefix + _digest(version).hex()


def _digest(version: object) -> bytes:
    return hashlib.sha256(json.dumps(version).encode()).digest()[:16]


class FolderSource(threading.Thread):
    """A thread that submits the images of one folder; `problem`: why it does not, if so."""

    def __init__(
        self, settings: SourceSettings, intake: InspectionService, database: Database
    ) -> None:
        super().__init__(name=f"flawmap-folder-{settings.id}", daemon=True)
        self._name, self._product = settings.name, settings.product_id
        self._folder = Path(settings.settings["folder"])
        self._intake, self._database, self._id = intake, database, settings.id
        self._stopping = threading.Event()
        self._running: dict[Version, Future[Answer]] = {}
        self.problem: str | None = None

    def stop(self) -> None:
        """Submit nothing more."""
        self._stopping.set()

    def run(self) -> None:
        """Watch until stopped."""
        try:
            done = Done(self._database, self._id)
            arrivals = Arrivals(self._folder, done, SETTLED)
            while not self._stopping.is_set():
                self._say(None if self._folder.is_dir() else f"There is no folder {self._folder}.")
                arrivals.update()
                for line in arrivals.left_out():
                    _LOG.warning("Watched folder %s: %s", self._folder, line)
                pause = self._submit_ready(arrivals, done)
                self._collect(arrivals, done)
                self._stopping.wait(max(_SHORTEST, arrivals.pause(pause)))
        except Exception as error:
            _LOG.exception("The folder %s is no longer watched", self._folder)
            self.problem = f"{type(error).__name__}: {error}"

    def _submit_ready(self, arrivals: Arrivals, done: Done) -> float:
        """Submit what is ready and has place; return the seconds until the next look, at most."""
        for version in arrivals.ready(_TOGETHER):
            if version in self._running:
                continue
            try:
                age = arrivals.age(version)
                self._running[version] = self._intake.submit(self._submission(version, age, done))
            except BusyError:
                return _BUSY
            except Exception as error:
                self._say(str(error))
                arrivals.later(version, _LATER)
        return _SHORTEST if self._running else _POLL

    def _submission(self, version: Version, age: float, done: Done) -> Submission:
        path = version[0]
        data, problem = b"", None
        try:
            data = read_file(path, max_bytes=self._intake.most_bytes)
        except ImageError as error:
            problem = error
        return Submission(
            data=data,
            source=f"folder:{self._name}",
            product=self._product,
            number=printable(PurePath(path).stem)[:_NUMBER],
            key=done.key(version),
            path=printable(path),
            version=(version[1], version[2]),
            complete=age >= _PATIENCE,
            problem=problem,
        )

    def _collect(self, arrivals: Arrivals, done: Done) -> None:
        """Note what was stored; try again later what was not complete or could not be stored."""
        for version, future in list(self._running.items()):
            if not future.done():
                continue
            del self._running[version]
            error = future.exception()
            if error is None:
                done.add(version)
                arrivals.finish(version)
            elif isinstance(error, IncompleteError):
                arrivals.later(version, _RETRY)
            else:
                self._say(str(error))
                arrivals.later(version, _LATER)

    def _say(self, problem: str | None) -> None:
        """Log a problem once."""
        if problem is not None and problem != self.problem:
            _LOG.warning("The folder %s cannot be inspected: %s", self._folder, problem)
        self.problem = problem
