"""What a watched folder holds that is not inspected: one line per reason, when it first occurs."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

from flawmap.data.listing.images import Folder, is_reported
from flawmap.data.listing.left_out import LeftOut
from flawmap.data.listing.names import Reason

_LASTING = 3.0  # seconds between two checks of whether a file stays


class Skipped:
    """Files and folders that are not inspected, each reason reported once.

    A file counts once it stays unchanged from one check to the next, as temporary files of a camera
    or of a copy soon get another name.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[Reason, object]] = {}  # by path, with the state then
        self._reported: set[Reason] = set()
        self._next = 0.0

    def add(self, path: str, reason: Reason) -> None:
        """Note a file or folder that is not inspected."""
        if reason is not Reason.COMPANION and reason not in self._reported:
            self._waiting.setdefault(path, (reason, None))

    def discard(self, path: str) -> None:
        """Forget a file or folder, which is inspected after all."""
        self._waiting.pop(path, None)

    def lines(self) -> list[str]:
        """Return a line for each reason that is reported now, every few seconds at most."""
        now = time.monotonic()
        if not self._waiting or now < self._next:
            return []
        self._next = now + _LASTING
        left_out = LeftOut()
        for path, (reason, before) in sorted(self._waiting.items()):
            try:
                state = _state(path)
            except OSError:  # it is gone
                del self._waiting[path]
                continue
            if state == before:
                _count(left_out, Path(path), reason)
            self._waiting[path] = reason, state
        self._reported |= left_out.counts.keys()
        self._waiting = {k: v for k, v in self._waiting.items() if v[0] not in self._reported}
        return [f"{line}. Further ones are not reported." for line in left_out.lines()]


def _state(path: str) -> object:
    """Return what changes while a file is written; of a folder, only that it is one."""
    status = os.stat(path)  # noqa: PTH116 - perhaps many thousands
    return stat.S_ISDIR(status.st_mode) or (status.st_size, status.st_mtime_ns)


def _count(left_out: LeftOut, path: Path, reason: Reason) -> None:
    if reason is Reason.MASK:  # a folder of them
        Folder(path, left_out, lenient=True).leave(reason)
    elif reason is Reason.UNLISTED or not path.is_dir() or is_reported(path, reason):
        left_out.add(reason, path)
