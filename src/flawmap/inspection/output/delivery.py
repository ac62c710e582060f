"""Writing of output images in parallel to inspection, and of each line once its images exist."""

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
from flawmap.inspection.inspector import Inspector
from flawmap.inspection.output.lines import Line
from flawmap.inspection.output.records import error_line, line_of, write_pictures
from flawmap.inspection.pipeline import Inspected
from flawmap.utils.signals import undisturbed

_WRITERS = 2
_BUDGET = 130_000_000  # bytes of images waiting to be written, unless a single one is larger
_MOST = 8  # images waiting to be written
# Errors after which no other image could be written either.
_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ENODEV}


@dataclass(frozen=True, eq=False)
class _Waiting:
    line: Line
    path: Path
    held: int
    written: Future[None] | None


class Delivery:
    """Delivery of each image's line, in order, as soon as all its output images are written.

    If the output of an image cannot be written, it gets an error line and the others continue; a
    full or failing disk ends the delivery with a FlawmapError. However the block ends, the lines of
    all images written so far are delivered. ``folder``: for output images, if any. ``give`` stores
    a line, then ``show`` reports it. ``inputs``: absolute paths that must not be written.
    ``lines``: the file that receives the lines.
    """

    def __init__(
        self,
        inspector: Inspector,
        folder: Path | None,
        give: Callable[[Line], None],
        *,
        show: Callable[[Line], None] = lambda line: None,
        inputs: Container[str] = (),
        lines: str | os.PathLike[str] | None = None,
    ) -> None:
        self._inspector, self._folder = inspector, folder
        self._give, self._show = give, show
        self._inputs, self._lines = inputs, lines
        self._waiting: deque[_Waiting] = deque()
        self._pool = ThreadPoolExecutor(_WRITERS, "flawmap-write")

    def __enter__(self) -> Delivery:
        return self

    def add(self, result: Inspected, name: str) -> None:
        """Add the result of an image; ``name`` is the base name of its output images."""
        if self._folder is None or result.image is None or result.inspection is None:
            line = line_of(result, self._inspector, None, self._lines)
            self._waiting.append(_Waiting(line, result.path, 0, None))
        else:
            place, held = self._folder / name, result.image.nbytes
            self._give_until(held)
            line = line_of(result, self._inspector, place, self._lines)
            waiting = _Waiting(line, result.path, held, Future())
            self._waiting.append(waiting)  # first, so that no output image lacks its line
            self._pool.submit(self._write, waiting, place, result)
        while self._waiting and _is_done(self._waiting[0]):
            self._give_first()

    def _write(self, waiting: _Waiting, place: Path, result: Inspected) -> None:
        assert waiting.written is not None
        try:
            write_pictures(place, result, self._inspector, self._inputs)
        except BaseException as error:
            waiting.written.set_exception(error)
        else:
            waiting.written.set_result(None)

    def _give_until(self, coming: int) -> None:
        """Deliver lines until there is room for one more image."""
        while self._waiting and (
            len(self._waiting) >= _MOST or sum(w.held for w in self._waiting) + coming > _BUDGET
        ):
            self._give_first()

    def _give_first(self) -> None:
        first = self._waiting[0]
        line = first.line
        try:
            if first.written is not None:
                first.written.result()
        except (FlawmapError, OSError, MemoryError) as error:
            if is_disk_error(error):
                raise
            line = unwritten_line(first.path, error, self._inspector)
        with undisturbed():  # otherwise the end of the block could repeat or lose the line
            self._give(line)
            self._waiting.popleft()
            self._show(line)

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
            while self._waiting and _can_be_told(self._waiting[0]):
                self._give_first()


def is_disk_error(error: BaseException) -> bool:
    """Whether a write error is caused by the disk, so that no other file can be written."""
    cause = error if isinstance(error, OSError) else error.__cause__
    return isinstance(cause, OSError) and cause.errno in _DISK


def unwritten_line(path: Path, error: Exception, inspector: Inspector) -> Line:
    """Return the line of an image whose output images cannot be written."""
    reason = " ".join(str(error).split()) or type(error).__name__
    return error_line(path, f"{path}: its pictures cannot be written. {reason}", inspector)


def _is_done(waiting: _Waiting) -> bool:
    return waiting.written is None or waiting.written.done()


def _can_be_told(waiting: _Waiting) -> bool:
    """Whether writing completed (or was not needed) without a disk error."""
    if waiting.written is None:
        return True
    if not waiting.written.done():
        return False
    error = waiting.written.exception()
    return error is None or not is_disk_error(error)
