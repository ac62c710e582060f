"""Writing of output images in parallel to inspection, and of each record once they exist."""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Callable, Container
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from flawmap.errors import FlawmapError
from flawmap.inspection.bundle.manifest import Manifest
from flawmap.inspection.decision import Inspection, Outcome, record_of
from flawmap.inspection.output.images import write_images
from flawmap.inspection.record import InspectionRecord
from flawmap.utils.signals import undisturbed

_WRITERS = 2
_BUDGET = 130_000_000  # bytes of images waiting to be written, unless a single one is larger
_MOST = 8  # images waiting to be written
# Errors after which no other image could be written either.
_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ENODEV}


@dataclass(frozen=True, eq=False)
class _Waiting:
    record: InspectionRecord
    held: int
    written: Future[InspectionRecord] | None


class Delivery:
    """Delivery of each image's record, in order, as soon as all its output images are written.

    If the output of an image cannot be written, its record has an error and the others continue; a
    full or failing disk ends the delivery with a FlawmapError. However the block ends, the records
    of all images written so far are delivered. ``manifest``: the inspector's. ``folder``: for
    output images, if any. ``give`` stores a record, then ``show`` reports it. ``inputs``: absolute
    paths that must not be written. ``lines``: the file that receives the records.
    """

    def __init__(
        self,
        manifest: Manifest,
        folder: Path | None,
        give: Callable[[InspectionRecord], None],
        *,
        show: Callable[[InspectionRecord], None] = lambda record: None,
        inputs: Container[str] = (),
        lines: str | os.PathLike[str] | None = None,
    ) -> None:
        self._manifest, self._folder = manifest, folder
        self._give, self._show = give, show
        self._inputs, self._lines = inputs, lines
        self._waiting: deque[_Waiting] = deque()
        self._pool = ThreadPoolExecutor(_WRITERS, "flawmap-write")

    def __enter__(self) -> Delivery:
        return self

    def add(self, outcome: Outcome, name: str) -> None:
        """Add the result of an image; ``name`` is the base name of its output images."""
        if self._folder is None or not isinstance(outcome, Inspection):
            self._waiting.append(_Waiting(record_of(outcome), 0, None))
        else:
            place, held = self._folder / name, 0 if outcome.image is None else outcome.image.nbytes
            self._give_until(held)
            waiting = _Waiting(outcome.record, held, Future())
            self._waiting.append(waiting)  # first, so that no output image lacks its record
            self._pool.submit(self._write, waiting, place, outcome)
        while self._waiting and _is_done(self._waiting[0]):
            self._give_first()

    def _write(self, waiting: _Waiting, place: Path, inspection: Inspection) -> None:
        assert waiting.written is not None
        try:
            record = write_images(place, inspection, self._manifest, self._lines, self._inputs)
        except BaseException as error:
            waiting.written.set_exception(error)
        else:
            waiting.written.set_result(record)

    def _give_until(self, coming: int) -> None:
        """Deliver records until there is room for one more image."""
        while self._waiting and (
            len(self._waiting) >= _MOST or sum(w.held for w in self._waiting) + coming > _BUDGET
        ):
            self._give_first()

    def _give_first(self) -> None:
        first = self._waiting[0]
        record = first.record
        try:
            if first.written is not None:
                record = first.written.result()
        except (FlawmapError, OSError, MemoryError) as error:
            if is_disk_error(error):
                raise
            record = unwritten(record, error)
        with undisturbed():  # otherwise the end of the block could repeat or lose the record
            self._give(record)
            self._waiting.popleft()
            self._show(record)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            while error is None and self._waiting:
                self._give_first()
        finally:  # an interrupt may also arrive while the last ones are delivered
            self._pool.shutdown(cancel_futures=True)  # writes in progress finish first
            while self._waiting and _can_be_given(self._waiting[0]):
                self._give_first()


def is_disk_error(error: BaseException) -> bool:
    """Whether a write error is caused by the disk, so that no other file can be written."""
    cause = error if isinstance(error, OSError) else error.__cause__
    return isinstance(cause, OSError) and cause.errno in _DISK


def unwritten(record: InspectionRecord, error: Exception) -> InspectionRecord:
    """Return the record of an image whose output images cannot be written."""
    reason = " ".join(str(error).split()) or type(error).__name__
    return record.with_error(f"{record.path}: its images cannot be written. {reason}")


def _is_done(waiting: _Waiting) -> bool:
    return waiting.written is None or waiting.written.done()


def _can_be_given(waiting: _Waiting) -> bool:
    """Whether writing completed (or was not needed) without a disk error."""
    if waiting.written is None:
        return True
    if not waiting.written.done():
        return False
    error = waiting.written.exception()
    return error is None or not is_disk_error(error)
