"""Where the records of a call go, and which of its images have one there already."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from flawmap.inspection.many.identity import Identity, identity_of
from flawmap.inspection.many.jobs import Job
from flawmap.inspection.output.lines import json_lines, map_reference
from flawmap.inspection.output.parts import PartsFolder, stored_path
from flawmap.inspection.record import InspectionRecord
from flawmap.runtime.base import RuntimeOptions

Write = Callable[[InspectionRecord], None]


@dataclass(frozen=True)
class Results:
    """Place of a call's records: a file of lines, a folder of Parquet parts, or none.

    ``out``: folder for output images, if any.
    """

    place: str | os.PathLike[str] | None
    parts: bool
    identity: Identity
    out: Path | None

    @classmethod
    def of(
        cls,
        run: Path,
        options: RuntimeOptions,
        json_file: str | os.PathLike[str] | None,
        parquet: str | os.PathLike[str] | None,
        out: Path | None,
    ) -> Results:
        """Return the place for the records of a run; raise FlawmapError if the run is damaged."""
        place = json_file if parquet is None else parquet
        return cls(place, parquet is not None, identity_of(run, options), out)

    @contextlib.contextmanager
    def writing(
        self, jobs: Sequence[Job], say: Callable[[str], None]
    ) -> Iterator[tuple[Write, Sequence[Job]]]:
        """Yield a function that writes a record, and the images that have none yet."""
        if not self.parts:
            with json_lines(self.place) as write:
                yield write, jobs
            return
        assert self.place is not None
        with PartsFolder(Path(self.place)) as parts:
            yield parts.write, self._remaining(parts, jobs, say)

    def _remaining(
        self, parts: PartsFolder, jobs: Sequence[Job], say: Callable[[str], None]
    ) -> Sequence[Job]:
        done = parts.done(self.identity, self._map_start)
        if done is None:
            say(
                f"{parts.folder} holds results of another model or other settings: all images are "
                "inspected again."
            )
            return jobs
        todo: list[Job] = []
        without_output = 0
        for job in jobs:
            path = stored_path(job.source)
            if done.records[path]:
                done.records[path] -= 1
                without_output += path in done.without_output
            else:
                todo.append(job)
        if len(todo) < len(jobs):
            say(f"{len(jobs) - len(todo):,} of {len(jobs):,} images are in {parts.folder} already.")
        if without_output:
            say(
                f"{without_output:,} of them have no output images in {self.out} and get none: to "
                "write these, give another folder as --parquet."
            )
        return todo

    @property
    def _map_start(self) -> str | None:
        """How the records name the maps below ``out``."""
        if self.out is None:
            return None
        start = map_reference(self.out, self.place)
        return "" if start == "." else start + "/"
