"""The memory of ``--watch``: JSON lines, each with the version of the image that it is of."""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType

from flawmap.errors import FlawmapError
from flawmap.inspection.output.lines import Line, LinesFile
from flawmap.inspection.sources import free_name
from flawmap.inspection.watching.arrivals import Version


class Ledger:
    """The JSON lines, and which versions of which images they are of.

    While it is open no other process writes to it. Raises FlawmapError where another one does, or
    a line is none of ``--watch``.
    """

    def __init__(self, path: Path) -> None:
        self.done: set[Version] = set()
        self._names: dict[str, str] = {}  # what each image's output is called, by its path
        self._taken: set[str] = set()  # those, in small letters: some disks do not tell them apart
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
                if not line.endswith(b"\n"):  # cut short by a kill: its image comes again
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
        """The image's path without its ending; with it or a number, where that is taken."""
        if path not in self._names:
            self._names[path] = free_name(Path(path), self._taken)
        return self._names[path]

    def add(self, version: Version, line: Line) -> None:
        """Write the line of a version. Raises FlawmapError where that fails."""
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
