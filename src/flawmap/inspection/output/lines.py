"""Files of inspection records, one record a line, as ``predict`` and ``--watch`` write them."""

from __future__ import annotations

import contextlib
import logging
import os
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from flawmap.errors import FlawmapError
from flawmap.inspection.output.parts import read_parts
from flawmap.inspection.record import InspectionRecord, NotJsonError
from flawmap.utils.files import cannot_write, make_folder
from flawmap.utils.locks import LinesLock

_LOG = logging.getLogger("flawmap")
_BINARY = getattr(os, "O_BINARY", 0)  # without it, Windows writes two bytes at a line's end


class LinesFile:
    """File to which records are written one by one, each as a complete line of JSON.

    However the process ends, all lines written so far are in the file under its own name. The first
    line replaces earlier content; with ``append`` it is kept. An exclusive lock keeps other
    processes from writing lines; they can read. Raises FlawmapError if another process holds the
    lock or the file cannot be written.
    """

    def __init__(self, path: Path, *, append: bool = False) -> None:
        self.path = path
        make_folder(path.parent)
        self._created = not path.exists()
        self._append = append
        self._written = 0
        self._lock: LinesLock | None = None
        self._descriptor = self._open()

    def _open(self) -> int:
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | _BINARY, 0o666)
        except OSError as error:
            raise cannot_write(self.path, error) from error
        try:
            self._regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
            if self._regular:
                self._lock = LinesLock(self.path)
                os.lseek(descriptor, 0, os.SEEK_END if self._append else os.SEEK_SET)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def write(self, record: InspectionRecord) -> None:
        """Append one line; raise FlawmapError if that fails. A full disk leaves no partial line."""
        if self._append and self._was_taken_away():
            os.close(self._descriptor)
            self._release()
            self._descriptor = self._open()
        data = memoryview((record.to_json() + "\n").encode())
        try:
            if self._regular and not self._written and not self._append:
                os.ftruncate(self._descriptor, 0)
            start = os.lseek(self._descriptor, 0, os.SEEK_CUR) if self._regular else 0
            try:
                while data:
                    data = data[os.write(self._descriptor, data) :]
            except OSError:
                with contextlib.suppress(OSError):
                    os.ftruncate(self._descriptor, start)
                    os.lseek(self._descriptor, start, os.SEEK_SET)
                raise
        except OSError as error:
            raise cannot_write(self.path, error) from error
        self._written += 1

    def _was_taken_away(self) -> bool:
        """Whether the file was moved or removed, as log rotation does."""
        try:
            return not os.path.samestat(os.fstat(self._descriptor), self.path.stat())
        except OSError:
            return True

    def cut(self, size: int) -> None:
        """Truncate the file to ``size`` bytes."""
        os.ftruncate(self._descriptor, size)
        os.lseek(self._descriptor, size, os.SEEK_SET)

    def close(self) -> None:
        """Close the file; remove it if it is new and has no lines."""
        os.close(self._descriptor)  # first: Windows does not delete an open file
        if self._created and not self._written and not self._append:
            with contextlib.suppress(OSError):
                self.path.unlink()
        self._release()

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()


@contextlib.contextmanager
def json_lines(
    target: str | os.PathLike[str] | None,
) -> Iterator[Callable[[InspectionRecord], None]]:
    """Yield a function that writes a record: to a :class:`LinesFile`, to ``-``, or nowhere."""
    if target is None:
        yield lambda record: None
    elif str(target) == "-":
        yield _print_line
    else:
        file = LinesFile(Path(target))
        try:
            yield file.write
        finally:
            file.close()


def _print_line(record: InspectionRecord) -> None:
    sys.stdout.write(record.to_json() + "\n")
    sys.stdout.flush()


def read_lines(path: Path) -> Iterator[tuple[int, InspectionRecord]]:
    """Yield number (from 1) and record of each line, or of each row of a folder of Parquet parts.

    A truncated last line is skipped with a warning in the log "flawmap"; empty lines are skipped.
    Raises FlawmapError for any other line that is not a record.
    """
    if path.is_dir():
        yield from enumerate(read_parts(path), 1)
        return
    for number, line, whole in _raw_lines(path):
        if not line.strip():
            continue
        try:
            yield number, read_line(line, number, path)
        except NotJsonError:
            if whole or number == 1:
                raise
            _LOG.warning("Line %d of %s was cut short and is left out.", number, path)


def read_line(line: bytes, number: int, path: Path) -> InspectionRecord:
    """Parse line ``number`` of a file; raise as :meth:`InspectionRecord.from_json`, naming both."""
    try:
        return InspectionRecord.from_json(line)
    except FlawmapError as error:
        raise type(error)(f"Cannot read line {number} of {path}. {error}") from error


def _raw_lines(path: Path) -> Iterator[tuple[int, bytes, bool]]:
    """Yield number and bytes of each line, and whether it ends with a newline."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                yield number, line, line.endswith(b"\n")
    except OSError as error:
        reason = error.strerror or error
        raise FlawmapError(f"Cannot read {path}: {reason}. Check its name.") from error


def map_reference(file: Path, lines: str | os.PathLike[str] | None) -> str:
    """Return the path of a map's file relative to the folder of the lines, so that both can move.

    The path is absolute if the lines go to no file, or to another drive. It has forward slashes.
    """
    real = os.path.realpath(file)
    if lines is None or str(lines) == "-":
        return Path(real).as_posix()
    with contextlib.suppress(ValueError):  # below it, perhaps through a link moved with it
        return file.absolute().relative_to(Path(lines).parent.absolute()).as_posix()
    try:
        return Path(os.path.relpath(real, _folder(lines))).as_posix()
    except ValueError:  # another drive
        return Path(real).as_posix()


def map_place(reference: str, lines: str | os.PathLike[str]) -> Path:
    """Locate the map that a line of the file ``lines`` refers to.

    Printed lines hold absolute paths. If no such file exists, the map may have been moved with the
    lines: it is searched below their folder by the end of its path, with at least one folder name.
    """
    folder = Path(_folder(lines))
    place = folder / reference
    if not Path(reference).is_absolute() or _is_there(place):
        return place
    parts = place.parts
    ends = (folder.joinpath(*parts[start:]) for start in range(1, len(parts) - 1))
    return next((end for end in ends if _is_there(end)), place)


def _is_there(path: Path) -> bool:
    return os.path.exists(path)  # noqa: PTH110 - Path.exists raises for a name too long


def _folder(lines: str | os.PathLike[str]) -> str:
    return os.path.realpath(Path(lines).parent)
