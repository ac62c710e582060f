"""Writing files whole or not at all: a temporary name in the same folder, then a rename."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import secrets
import stat
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from flawmap.errors import FlawmapError

if sys.platform != "win32":
    import fcntl

_TEMPORARY = re.compile(r"\..+\.\d+\.[0-9a-f]{8}")
_MENDS = {
    errno.ENOSPC: " Free some space, or choose another disk.",
    errno.EDQUOT: " Free some space, or choose another disk.",
    errno.EACCES: " Check its permissions.",
    errno.EROFS: " Choose a place that can be written.",
}


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; it becomes ``path`` if the block succeeds.

    Raises FlawmapError where the folder cannot be written or the disk is full.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def cannot_write(path: Path, error: OSError) -> FlawmapError:
    """The error with its path, and what to do about it."""
    mend = _MENDS.get(error.errno or 0, "")
    return FlawmapError(f"Cannot write {path}: {error.strerror or error}.{mend}")


def read_regular(path: Path, max_bytes: int) -> bytes:
    """The content of a file; OSError for a pipe or device, which may never end, or a larger one."""
    try:
        found = path.stat()
    except ValueError as error:  # a NUL in the name
        raise OSError(errno.EINVAL, str(error)) from error
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "Not a regular file")
    if found.st_size > max_bytes:
        raise OSError(errno.EFBIG, f"More than {max_bytes >> 20:,} MiB")
    return path.read_bytes()


@contextlib.contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """While the block runs, no other process gets into one on this folder.

    The lock is the folder's own (flock): it leaves no file, and ends with the process however that
    ends. Windows and some network drives have none, and nothing is locked there. Raises
    FlawmapError where another process is in the block.
    """
    if sys.platform == "win32":
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _lock(descriptor, folder)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise FlawmapError(
            f"Another process is writing {folder}: wait until it ends, or choose another folder."
        ) from error
    except OSError:  # a network drive without locks
        pass


def write_bytes(path: Path, data: bytes) -> None:
    """Write and flush to the disk before the name changes, so that a crash leaves old or new."""
    write_together({path: data})


def write_together(files: Mapping[Path, bytes]) -> None:
    """Write several files as :func:`write_bytes`; all are on the disk before any name changes.

    A full disk therefore leaves all of them as they were. The last one gets its name last.
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
    """Return an indented JSON document in UTF-8, with a line end."""
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


def sweep(folder: Path) -> None:
    """Drop the temporary files of writes into ``folder`` that were killed."""
    for path in folder.iterdir():
        if _TEMPORARY.fullmatch(path.name):
            path.unlink(missing_ok=True)


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def make_folder(path: Path) -> Path:
    """Create a folder with its parents; FlawmapError where that cannot be done."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FlawmapError(
            f"Cannot create the folder {path}: {error.strerror or error}."
        ) from error
    return path
