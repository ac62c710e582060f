"""Atomic file writes: a temporary name in the same folder, then a rename."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import secrets
import shutil
import stat
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from flawmap.errors import FlawmapError

OURS = ".flawmap-"
"""Prefix of every name that flawmap gives to what it will delete again."""
_PIECE = 2**20  # bytes
_TEMPORARY = re.compile(re.escape(OURS) + r"(\d+)\.[0-9a-f]{8}\.tmp")
_STILL = 2.0  # seconds without change after which a file counts as no longer being written
_LITTER = {".ds_store", "thumbs.db", "desktop.ini", ".gitkeep", ".gitignore", "lost+found"}
_PROBE_BYTES = 2**20  # more than a full disk may have left in its last block
_ADVICE = {
    errno.ENOSPC: " Free some space, or choose another disk.",
    errno.EDQUOT: " Free some space, or choose another disk.",
    errno.EACCES: " Check its permissions.",
    errno.EROFS: " Choose a place that can be written.",
}


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it to ``path`` if the block succeeds.

    Raises FlawmapError if the folder is not writable or the disk is full.
    """
    temporary = path.with_name(_temporary_name())
    sys.audit("flawmap.replacing", str(path))  # the temporary name hides the target
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _temporary_name() -> str:
    """Return a name that no user file has; short, so that it fits wherever the final name does."""
    return f"{OURS}{os.getpid()}.{secrets.token_hex(4)}.tmp"


def exists(path: Path) -> bool:
    """Whether the path exists; raise FlawmapError for a name that no file can have."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise cannot_write(path, error) from error
    except ValueError as error:  # a NUL
        raise cannot_write(path, OSError(errno.EINVAL, str(error))) from error
    return True


def check_writable(path: Path) -> None:
    """Write and delete a small file where ``path`` is or will be; raise FlawmapError on failure.

    Use it before long work. ``path`` is a folder or a file, which need not exist yet: the nearest
    existing parent folder is tested. Nothing is left behind.
    """
    exists(path)
    try:
        folder = path
        while not folder.is_dir() and folder != folder.parent:
            if folder != path and folder.exists():
                raise FlawmapError(f"Cannot write {path}: {folder} is a file.")
            folder = folder.parent
        _try_to_write(folder / _temporary_name())
    except OSError as error:
        raise cannot_write(path, error) from error


def _try_to_write(probe: Path) -> None:
    try:
        with probe.open("xb") as file:
            file.write(bytes(_PROBE_BYTES))
            file.flush()
            os.fsync(file.fileno())
    finally:
        with contextlib.suppress(OSError):
            probe.unlink()


def check_space(folder: Path, needed_bytes: int) -> None:
    """Raise FlawmapError if the disk of ``folder`` has less than ``needed_bytes`` free."""
    try:
        free = shutil.disk_usage(folder).free
    except OSError:  # some network drives do not report it
        return
    if free < needed_bytes:
        raise FlawmapError(
            f"{folder} needs about {needed_bytes / 1e6:,.0f} MB and its disk has "
            f"{free / 1e6:,.0f} MB free: free some space, or choose another disk."
        )


def cannot_write(path: Path, error: OSError) -> FlawmapError:
    """Return the error with its path, and what to do about it."""
    advice = _ADVICE.get(error.errno or 0, "")
    return FlawmapError(f"Cannot write {path}: {error.strerror or error}.{advice}")


def read_regular(path: Path, max_bytes: int) -> bytes:
    """Read a file; raise OSError for a pipe or device, which may never end, or a larger file."""
    check_regular(path, max_bytes)
    return path.read_bytes()


def check_regular(path: Path, max_bytes: int) -> None:
    """Raise OSError for a pipe or device, which may never end, or a larger file."""
    try:
        status = path.stat()
    except ValueError as error:  # a NUL in the name
        raise OSError(errno.EINVAL, str(error)) from error
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "Not a regular file")
    if status.st_size > max_bytes:
        raise OSError(errno.EFBIG, f"More than {max_bytes >> 20:,} MiB")


def write_bytes(path: Path, data: bytes) -> None:
    """Write and flush to disk before renaming, so that a crash leaves the old or the new file."""
    write_together({path: data})


def write_together(files: Mapping[Path, bytes]) -> None:
    """Write several files like :func:`write_bytes`; all are on disk before any is renamed.

    A full disk therefore leaves all of them unchanged. The last one is renamed last.
    """
    with contextlib.ExitStack() as renames:
        for path, data in reversed(list(files.items())):
            with renames.enter_context(replacing(path)).open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())


def write_json(path: Path, value: Any) -> None:
    """Write an indented JSON document."""
    write_bytes(path, encode_json(value))


def encode_json(value: Any) -> bytes:
    """Return an indented JSON document in UTF-8, with a line end.

    A path that is not UTF-8 keeps Python's surrogate escapes, so that it can be opened again.
    """
    try:
        return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()
    except UnicodeEncodeError:
        return (json.dumps(value, indent=2) + "\n").encode()


def sweep(folder: Path) -> None:
    """Delete temporary files that killed flawmap processes left in ``folder``."""
    for path in folder.iterdir():
        if _TEMPORARY.fullmatch(path.name):
            path.unlink(missing_ok=True)


def sweep_below(folder: Path) -> None:
    """Apply :func:`sweep` to a folder tree in which other processes may be writing."""
    for place, _, names in os.walk(folder):
        for name in names:
            match = _TEMPORARY.fullmatch(name)
            if match is not None and not _is_running(int(match[1])):
                path = Path(place) / name
                with contextlib.suppress(OSError):
                    # the process may run on another machine, on a network drive
                    if time.time() - path.stat().st_mtime > _STILL:
                        path.unlink()


def _is_running(process: int) -> bool:
    if sys.platform != "win32":  # there, probing with a signal would end the process
        try:
            os.kill(process, 0)
        except (ProcessLookupError, OverflowError):
            return False
        except OSError:
            return True
    return True


def foreign(folder: Path) -> list[str]:
    """Return the sorted names in ``folder`` that are neither flawmap's nor system files."""
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError as error:
        raise cannot_write(folder, error) from error
    return [name for name in names if not name.startswith(OURS) and name.lower() not in _LITTER]


def digest(path: Path, max_bytes: int = 2**31) -> str:
    """Return the SHA-256 of a file, read in pieces.

    Raises FlawmapError if it cannot be read, is a pipe or device, or exceeds ``max_bytes``.
    """
    sha256 = hashlib.sha256()
    try:
        check_regular(path, max_bytes)
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                sha256.update(piece)
    except OSError as error:
        raise FlawmapError(f"{path}: cannot be read ({error.strerror or error})") from error
    return sha256.hexdigest()


def make_folder(path: Path) -> Path:
    """Create a folder with its parents; raise FlawmapError on failure."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FlawmapError(
            f"Cannot create the folder {path}: {error.strerror or error}."
        ) from error
    return path
