"""Ledger of what ``--watch`` has done: a file of records, each with the version of its image."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

from flawmap.errors import FlawmapError
from flawmap.inspection.output.lines import LinesFile, read_line
from flawmap.inspection.record import InspectionRecord
from flawmap.inspection.sources import free_name
from flawmap.inspection.watching.arrivals import Version


class Ledger:
    """Records in a file, and the image versions they belong to.

    Holds an exclusive lock while open. Raises FlawmapError if another process writes to the file or
    a line was not written by ``--watch``.
    """

    def __init__(self, path: Path) -> None:
        self.done: set[Version] = set()
        self._names: dict[str, str] = {}  # base name of each image's output, by path
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
                version = _version_of(read_line(line, number, path), number, path)
                self.done.add(version)
                self.name(version[0])
                whole += len(line)

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def name(self, path: str) -> str:
        """Return the image's path without suffix, or with suffix or number if that is taken."""
        if path not in self._names:
            self._names[path] = free_name(Path(path), self._taken)
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
