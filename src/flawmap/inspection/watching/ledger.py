"""Ledger of what ``--watch`` has done: a file of records, each with the version of its image."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType

from flawmap.errors import FlawmapError
from flawmap.inspection.output.images import base_of
from flawmap.inspection.output.lines import LinesFile, map_place, read_line
from flawmap.inspection.record import InspectionRecord
from flawmap.inspection.sources import free_name
from flawmap.inspection.watching.arrivals import Version


class Ledger:
    """Records in a file, and the image versions they belong to.

    Holds an exclusive lock while open. ``out``: resolved folder for output images, if any. Raises
    FlawmapError if another process writes to the file or a line was not written by ``--watch``.
    """

    def __init__(self, path: Path, out: Path | None = None) -> None:
        self._out = out
        self.done: set[Version] = set()
        self._names: dict[str, str] = {}  # base name of each image's output below out, by path
        self._taken: set[str] = set()  # those in lower case: some disks ignore case
        self._file = LinesFile(path, append=True)
        try:
            self._read(path)
        except BaseException:
            self._file.close()
            raise

    def _read(self, path: Path) -> None:
        whole = 0
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):  # truncated by a kill: its image is inspected again
                    self._file.cut(whole)
                    return
                record = read_line(line, number, path)
                version = _version_of(record, number, path)
                self.done.add(version)
                if self._out is not None and record.map is not None:
                    stored = map_place(record.map.file, path)
                    self._keep_name(version[0], stored, self._out)
                whole += len(line)

    def _keep_name(self, image: str, stored: Path, out: Path) -> None:
        """Keep the base name of an image's output, if its map is stored below ``out``."""
        place = Path(os.path.normpath(base_of(stored)))
        if place.is_relative_to(out):
            self._names[image] = str(place.relative_to(out))
            self._taken.add(self._names[image].lower())

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def name(self, path: str, folder: Path) -> str:
        """Return the base name of the output of an image in the watched ``folder``.

        That is its path below the folder without suffix, or with suffix or number if that is taken.
        """
        if path not in self._names:
            self._names[path] = free_name(Path(path).relative_to(folder), self._taken)
        return self._names[path]

    def add(self, record: InspectionRecord) -> None:
        """Write the record of a watched image; raise FlawmapError if that fails."""
        version = version_of(record)
        assert version is not None, "only records of watched images belong here"
        self._file.write(record)
        self.done.add(version)


def with_version(record: InspectionRecord, version: Version) -> InspectionRecord:
    """Return the record with the size and modification time of its image's file."""
    return record.model_copy(update={"bytes": version[1], "modified_ns": version[2]})


def version_of(record: InspectionRecord) -> Version | None:
    """Return the version of the record's image; None if ``--watch`` did not write it."""
    if record.path is None or record.bytes is None or record.modified_ns is None:
        return None
    return record.path, record.bytes, record.modified_ns


def _version_of(record: InspectionRecord, number: int, path: Path) -> Version:
    version = version_of(record)
    if version is None:
        raise FlawmapError(
            f"Line {number} of {path} was not written by --watch: give --watch a --json file of "
            "its own."
        )
    return version
