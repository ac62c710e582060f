"""What each worker does, whether it is a process here or an actor of Ray."""

from __future__ import annotations

import contextlib
import logging
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flawmap.data.image_io.notes import Kind, forwarded
from flawmap.errors import FlawmapError, UsageError
from flawmap.inspection.inspector import Inspector
from flawmap.inspection.many.jobs import Job
from flawmap.inspection.output.delivery import Delivery
from flawmap.inspection.pipeline import inspect_files
from flawmap.inspection.record import InspectionRecord
from flawmap.runtime.base import RuntimeOptions

Send = Callable[[str, Any], None]
"""Sends a message of a kind to the process that gathers the results.

``ready``: a record without result, as each of this worker's images would have; ``done``: index and
record of an image; ``end``: of a chunk; ``note`` and ``log``: for the user; ``failed``: why no
further image can be inspected, and whether the call was wrong. Values are JSON types.
"""


@dataclass(frozen=True)
class Task:
    """What every worker needs to know: run folder, runtime, images per batch, places of results."""

    run: str
    options: RuntimeOptions
    batch: int = 1
    out: str | None = None
    lines: str | None = None


class Worker:
    """Inspector of chunks of images, loaded once; it sends the results as messages."""

    def __init__(self, task: Task, send: Send) -> None:
        self._task, self._send = task, send
        self._inspector = Inspector.load(task.run, **task.options)
        send("ready", self._inspector.failed("", None, "not inspected").to_dict())

    def inspect(self, chunk: Sequence[tuple[int, Job]]) -> None:
        """Inspect images; send the record of each, in order, once its output images are written."""
        indices = deque(index for index, _ in chunk)
        task = self._task

        def give(record: InspectionRecord) -> None:
            self._send("done", [indices.popleft(), record.to_dict()])

        folder = None if task.out is None else Path(task.out)
        jobs = [job for _, job in chunk]
        inspect_jobs(self._inspector, jobs, task.batch, folder, task.lines, give)
        self._send("end", None)


def inspect_jobs(
    inspector: Inspector,
    jobs: Sequence[Job],
    batch: int,
    folder: Path | None,
    lines: str | os.PathLike[str] | None,
    give: Callable[[InspectionRecord], None],
    show: Callable[[InspectionRecord], None] = lambda record: None,
) -> None:
    """Inspect images in this process; ``folder`` and what follows are Delivery's."""
    sources = (job.source for job in jobs)
    results = inspect_files(inspector, sources, batch, keep_images=folder is not None)
    inputs = {path for job in jobs for path in job.inputs}
    with (
        contextlib.closing(results),
        Delivery(
            inspector.manifest, folder, give, show=show, inputs=inputs, lines=lines
        ) as delivery,
    ):
        for job, result in zip(jobs, results, strict=True):
            delivery.add(result, job.name)


@contextlib.contextmanager
def reporting(send: Send) -> Iterator[None]:
    """Send the block's notes, warnings and failure as messages; the failure ends the block."""
    log = logging.getLogger("flawmap")
    handler, before = _Sending(send), (log.handlers, log.propagate)
    log.handlers, log.propagate = [handler], False

    def send_note(kind: Kind, name: str | None, highest: int, white: int) -> None:
        send("note", [kind.value, name, highest, white])

    try:
        with forwarded(send_note):
            yield
    except (FlawmapError, OSError) as error:
        send("failed", [str(error), isinstance(error, UsageError)])
    finally:
        log.handlers, log.propagate = before


class _Sending(logging.Handler):
    def __init__(self, send: Send) -> None:
        super().__init__()
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        self._send("log", [record.levelno, record.getMessage()])
