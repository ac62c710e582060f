"""``flawmap predict --watch``: inspect what a camera drops into a folder, each picture once.

The folder is looked at again and again rather than asked to report: that works on network drives,
too. The JSON lines are the memory: a picture with a line in them is not inspected again.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from typing_extensions import Unpack

from flawmap.backends.base import RuntimeOptions
from flawmap.errors import FlawmapError, UsageError
from flawmap.files import cannot_write, make_folder
from flawmap.inspector.inspector import Inspector
from flawmap.inspector.listing import real, walk_images
from flawmap.inspector.output import line_of, write_pictures
from flawmap.inspector.pipeline import inspect_files
from flawmap.inspector.predict import Prediction
from flawmap.targets import LINES, check_folder, check_target

_PATIENCE = 5.0  # seconds that an unreadable picture may stay as it is before it counts as broken

Version = tuple[str, int, int]  # path, bytes, nanoseconds of the last change


def watch(
    run: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    json_file: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    poll: float = 0.2,
    settle: float = 0.4,
    stop: Callable[[], bool] = lambda: False,
    show: Callable[[Prediction, int], None] = lambda prediction, total: None,
    **runtime: Unpack[RuntimeOptions],
) -> int:
    """Inspect every picture in ``folder``, and each that comes, until ``stop()`` says so.

    A picture is inspected when it has not changed for ``settle`` seconds, and again if it is
    written anew. ``json_file`` gets a line each, as of ``predict``, with ``bytes`` and
    ``modified_ns`` of the picture; lines that it holds already are those of an earlier call, whose
    pictures are done. ``out``: as for ``predict``. ``poll``: seconds between two looks. Returns how
    many were inspected. Raises UsageError where there is no such folder.
    """
    place = Path(folder)
    if not place.is_dir():
        raise UsageError(f"No such folder: {place}. Give the one that pictures are dropped into.")
    check_folder(out)
    check_target(json_file, LINES, inputs=[out], streamed=True)
    written = None if out is None else real(make_folder(Path(out)))
    if written == real(place):
        raise UsageError(f"{place} is watched: give another folder as --out.")
    inspector = Inspector.load(run, **runtime)
    inspector.graph.warm_up()
    ledger = _Ledger.open(Path(json_file))
    waiting = _Waiting(settle)
    count = 0
    while not stop():
        before = count
        ready = waiting.ready(_versions(place, written), ledger.done)
        paths = [Path(version[0]) for version in ready]
        results = inspect_files(inspector, paths, photographs=written is not None)
        for version, result in zip(ready, results, strict=True):
            if result.error is not None and not waiting.given_up(version):
                continue
            marked = None
            if written is not None and result.inspection is not None:
                marked = written / ledger.name(result.path).relative_to(place)
                write_pictures(marked, result, inspector)
            line = line_of(result, inspector, marked, json_file)
            line |= {"bytes": version[1], "modified_ns": version[2]}
            ledger.add(version, line)
            count += 1
            show(Prediction(line), 0)
            if stop():
                break
        if count == before:
            time.sleep(poll)
    return count


@dataclass
class _Ledger:
    """The JSON lines, and which versions of which pictures they are of."""

    path: Path
    done: set[Version]
    stems: dict[Path, Path] = field(default_factory=dict)
    """Which picture first took a path without its ending."""

    def __post_init__(self) -> None:
        for version in self.done:
            self.name(Path(version[0]))

    @classmethod
    def open(cls, path: Path) -> _Ledger:
        make_folder(path.parent)
        done: set[Version] = set()
        if path.exists():
            data = path.read_bytes()
            whole = data[: data.rfind(b"\n") + 1]
            for number, line in enumerate(whole.splitlines(), 1):
                done.add(_version_of(line, path, number))
            if len(whole) < len(data):  # a kill cut the last line short: its picture comes again
                os.truncate(path, len(whole))
        return cls(path, done)

    def name(self, path: Path) -> Path:
        """The picture's path without its ending; with it, where another has the name already."""
        stem = path.with_suffix("")
        first = self.stems.setdefault(stem, path)
        return stem if first == path else stem.with_name(path.name.replace(".", "_"))

    def add(self, version: Version, line: dict[str, Any]) -> None:
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise cannot_write(self.path, error) from error
        self.done.add(version)


def _version_of(line: bytes, path: Path, number: int) -> Version:
    try:
        found = json.loads(line)
        return str(found["path"]), int(found["bytes"]), int(found["modified_ns"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise FlawmapError(
            f"Line {number} of {path} is none of --watch: give it a --json file of its own."
        ) from error


@dataclass
class _Waiting:
    """Pictures seen and not done, since when they have been as they are."""

    settle: float
    since: dict[Version, float] = field(default_factory=dict)

    def ready(self, seen: Iterator[Version], done: set[Version]) -> list[Version]:
        """Those that have not changed for long enough, the oldest first."""
        now = time.monotonic()
        there = [version for version in seen if version not in done]
        self.since = {version: self.since.get(version, now) for version in there}
        settled = [v for v in there if now - self.since[v] >= self.settle]
        return sorted(settled, key=lambda version: (version[2], version[0]))

    def given_up(self, version: Version) -> bool:
        """Whether an unreadable picture has been as it is for so long that it stays so."""
        return time.monotonic() - self.since[version] >= max(_PATIENCE, self.settle)


def _versions(folder: Path, written: Path | None) -> Iterator[Version]:
    for path in walk_images(folder, written, lenient=True):
        try:
            found = path.stat()
        except OSError:  # gone again, or not ours to see yet
            continue
        yield str(path), found.st_size, found.st_mtime_ns
