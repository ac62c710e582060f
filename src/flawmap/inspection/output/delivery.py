"""Pictures written beside the inspection of what comes next, and lines once theirs are there."""

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
_BUDGET = 130_000_000  # bytes of photographs waiting to be written, unless a single one takes more
_MOST = 8  # images waiting to be written
# No other image could be written either.
_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ENODEV}


@dataclass(frozen=True, eq=False)
class _Waiting:
    line: Line
    path: Path
    held: int
    written: Future[None] | None


class Delivery:
    """Gives each image's line in order, as soon as all its pictures are written.

    An image whose pictures cannot be written gets an error line, and the others go on; a disk that
    is full or fails ends it with a FlawmapError. Whatever ends the block, lines of all images
    written until then are given. ``folder``: for pictures, if any. ``give`` keeps a line, ``show``
    then tells of it. ``inputs``: absolute paths that must not be written. ``lines``: the file that
    lines go to.
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
        """Take one image's outcome; ``name`` is what its pictures are called."""
        if self._folder is None or result.image is None or result.inspection is None:
            line = line_of(result, self._inspector, None, self._lines)
            self._waiting.append(_Waiting(line, result.path, 0, None))
        else:
            place, held = self._folder / name, result.image.nbytes
            self._give_until(held)
            line = line_of(result, self._inspector, place, self._lines)
            waiting = _Waiting(line, result.path, held, Future())
            self._waiting.append(waiting)  # first: whatever ends this, no picture lacks its line
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
        """Give lines until there is room for one more photograph."""
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
        with undisturbed():  # or the end of the block would give the line again, or never
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
        finally:  # an interruption may come in giving the last ones, too
            self._pool.shutdown(cancel_futures=True)  # what is being written ends first
            while self._waiting and _can_be_told(self._waiting[0]):
                self._give_first()


def is_disk_error(error: BaseException) -> bool:
    """Whether an error in writing lies with the disk, so that no other file can be written."""
    cause = error if isinstance(error, OSError) else error.__cause__
    return isinstance(cause, OSError) and cause.errno in _DISK


def unwritten_line(path: Path, error: Exception, inspector: Inspector) -> Line:
    """The line of an image whose pictures cannot be written."""
    reason = " ".join(str(error).split()) or type(error).__name__
    return error_line(path, f"{path}: its pictures cannot be written. {reason}", inspector)


def _is_done(waiting: _Waiting) -> bool:
    return waiting.written is None or waiting.written.done()


def _can_be_told(waiting: _Waiting) -> bool:
    """Whether it was not given up, nor ended by a disk that takes nothing more."""
    if waiting.written is None:
        return True
    if not waiting.written.done():
        return False
    error = waiting.written.exception()
    return error is None or not is_disk_error(error)
