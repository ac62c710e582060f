"""Record of what ``--watch`` has done: JSON lines, each with the version of its image."""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType

from flawmap.errors import FlawmapError
from flawmap.inspection.output.lines import Line, LinesFile
from flawmap.inspection.sources import free_name
from flawmap.inspection.watching.arrivals import Version


class Ledger:
    """JSON lines, and the image versions they belong to.

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
                version = _version_of(line, path, number)
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

    def add(self, version: Version, line: Line) -> None:
        """Write the line of a version; raise FlawmapError if that fails."""
        self._file.write(line | {"bytes": version[1], "modified_ns": version[2]})
        self.done.add(version)


def _version_of(line: bytes, path: Path, number: int) -> Version:
    try:
        found = json.loads(line)
        return str(found["path"]), int(found["bytes"]), int(found["modified_ns"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise FlawmapError(
            f"Line {number} of {path} is none of --watch: give it a --json file of its own."
        ) from error
