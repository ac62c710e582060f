"""Locks that keep a second process from writing to the same folder or file.

Each lock is held on a hidden file of its own, as Windows has no locks on folders and keeps others
from reading a locked file. The lock ends with its process, however that ends. The hidden file is
deleted with the lock; one that a killed process leaves behind is free, and the next lock uses it.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from flawmap.errors import FlawmapError
from flawmap.utils.files import OURS, cannot_write

_FOLDER_LOCK = f"{OURS}lock"
# Errors of file systems without locks. No file that only exists stands in for the lock there: it
# would outlive a killed process, and refuse every later one until a person deletes it.
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.EBADF}
_log = logging.getLogger("flawmap")
_warned: set[Path] = set()


@contextlib.contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Hold an exclusive lock on ``folder`` while the block runs.

    Some network drives have no locks: then nothing is locked, and the log "flawmap" says so once
    per folder. Raises FlawmapError if another process holds the lock, or if the folder does not
    exist or is not writable.
    """
    lock = FolderLock(folder)
    try:
        yield
    finally:
        lock.release()


class _Lock:
    """Exclusive lock on ``target``, held on the file ``place`` from construction to release."""

    _required = True

    def __init__(self, target: Path, place: Path, busy: str) -> None:
        self._target, self._place = target, place
        # without `mode`, a file that another user's killed process left could not be locked
        self._lock = FileLock(
            place, timeout=0, mode=0o666, thread_local=False, fallback_to_soft=False
        )
        try:
            self._lock.acquire()
        except Timeout as error:
            raise FlawmapError(busy) from error
        except OSError as error:
            self._go_without(error)

    def _go_without(self, error: OSError) -> None:
        """Warn that nothing is locked, or raise FlawmapError."""
        reason = error.strerror or str(error)
        if error.errno in _NO_LOCKS:
            with contextlib.suppress(OSError):
                self._place.unlink()
        elif self._required:
            if self._place.exists():
                raise FlawmapError(f"Cannot lock {self._target} ({self._place.name}: {reason}).")
            raise cannot_write(self._target, error)
        _warn(self._target, reason)

    def release(self) -> None:
        """End the lock and delete its file."""
        if self._lock.is_locked:
            # Deleted while locked: one that opened it before sees that it is gone, and gives up.
            # Windows does not delete an open file: there, filelock deletes it after the release.
            with contextlib.suppress(OSError):
                self._place.unlink()
            self._lock.release()


class FolderLock(_Lock):
    """Exclusive lock on a folder; :func:`only_writer` says what it raises."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            number = errno.ENOTDIR if folder.exists() else errno.ENOENT
            raise cannot_write(folder, OSError(number, os.strerror(number)))
        busy = f"Another process is writing {folder}: wait until it ends, or choose another folder."
        super().__init__(folder, folder / _FOLDER_LOCK, busy)


class LinesLock(_Lock):
    """Exclusive lock on a file of lines that exists; others can read the file.

    If its folder is not writable or has no locks, the file is not locked, and the log "flawmap"
    says so once. Raises FlawmapError if another process holds the lock.
    """

    _required = False

    def __init__(self, file: Path) -> None:
        busy = f"Another process is writing lines to {file}: stop it, or give another --json file."
        super().__init__(file, _beside(file), busy)


def _beside(file: Path) -> Path:
    """Return the lock's file: one for all links to ``file``, and short, whatever its name.

    Names that differ only in case share it, as some disks ignore case.
    """
    real = Path(os.path.realpath(file))
    name = hashlib.sha256(os.fsencode(real.name.casefold())).hexdigest()[:16]
    return real.with_name(f"{OURS}{name}.lock")


def _warn(target: Path, reason: str) -> None:
    if target not in _warned:
        _warned.add(target)
        _log.warning(
            "%s cannot be locked (%s): let only one process write it at a time.", target, reason
        )
