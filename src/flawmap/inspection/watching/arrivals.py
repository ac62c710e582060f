"""Detection of new images in a watched folder, at a cost independent of the existing ones.

A folder is listed only when its modification time shows that a name was added, removed or replaced.
A file overwritten in place changes no folder: recent files are checked every time, all others a
few at a time, in turn.
"""

from __future__ import annotations

import heapq
import os
import stat
import time
from collections import deque
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from flawmap.data.listing.names import (
    Reason,
    own_images,
    why_not_searched,
    why_not_watched,
)
from flawmap.inspection.watching.skipped import Skipped

Version = tuple[str, int, int]  # path, size in bytes, modification time in ns

_HOT = 200  # most recently changed folders, checked each time
_COLD = 200  # other folders checked each time, in turn
_RECENT = 50  # most recently finished images, checked each time
_SWEEP = 1500  # images checked per second, in turn
_AGAIN = 2.0  # seconds within which a change may not alter a folder's time
_LISTING_SHARE = 4  # a folder rests for this many times its listing time


@dataclass
class _Place:
    """Folder and the result of its last listing."""

    path: str
    names: dict[str, int] = field(default_factory=dict)  # with their inodes
    images: set[str] = field(default_factory=set)
    changed: int = -1
    again: float | None = None
    not_before: float = 0.0


@dataclass
class _Pending:
    version: Version
    since: float
    """Time at which this version first appeared."""
    not_before: float


class Arrivals:
    """Images below ``folder`` whose version is not in ``done``.

    Names are skipped as in every listing, except for masks beside images, which cameras do not
    write: so it does not matter which file arrives first. The folder ``written`` is skipped, too. A
    folder that is temporarily inaccessible keeps its last listing.
    """

    def __init__(
        self, folder: Path, done: Container[Version], settle: float, written: Path | None = None
    ) -> None:
        self._done, self._settle = done, settle
        self._written = None if written is None else str(written)
        self._places: dict[str, _Place] = {}
        self._order: list[_Place] = []  # last changed first
        self._turn = 0
        self._reals: set[str] = set()
        self._pending: dict[str, _Pending] = {}
        self._recent: deque[str] = deque(maxlen=_RECENT)
        self._skipped = Skipped()
        self._cycle = self._every_file()
        self._swept = time.monotonic()
        self._add(str(folder))

    def update(self) -> None:
        """Check a bounded number of files and folders for changes."""
        for place in self._due():
            self._visit(place)
        for path in list(self._recent):
            self._consider(path)
        now = time.monotonic()
        share = min(_SWEEP, int(_SWEEP * (now - self._swept)))
        if share:
            self._swept = now
            for _, path in zip(range(share), self._cycle, strict=False):
                if not path:
                    break
                self._consider(path)

    def ready(self, most: int) -> list[Version]:
        """Return at most ``most`` versions that have been stable for long enough, oldest first."""
        now = time.monotonic()
        settled = (one for one in self._pending.values() if now >= one.not_before)
        oldest = heapq.nsmallest(most, settled, key=lambda one: (one.version[2], one.version[0]))
        versions = []
        for one in oldest:
            self._consider(one.version[0])  # it may have changed or disappeared since
            if self._pending.get(one.version[0]) is one:
                versions.append(one.version)
        return versions

    def left_out(self) -> list[str]:
        """Return a line for each reason for which files are skipped, when it first occurs."""
        return self._skipped.lines()

    def pause(self, most: float) -> float:
        """Return the seconds until the next pending image may be ready, at most ``most``."""
        now = time.monotonic()
        return max(0.0, min([most, *(one.not_before - now for one in self._pending.values())]))

    def age(self, version: Version) -> float:
        """Return the seconds for which a pending image has not changed."""
        pending = self._pending.get(version[0])
        return 0.0 if pending is None else time.monotonic() - pending.since

    def later(self, version: Version, seconds: float) -> None:
        """Return a pending image again, but only after ``seconds``."""
        if version[0] in self._pending:
            self._pending[version[0]].not_before = time.monotonic() + seconds

    def finish(self, version: Version) -> None:
        """Mark a version as done."""
        self._pending.pop(version[0], None)
        self._recent.append(version[0])

    def _due(self) -> list[_Place]:
        hot, cold = self._order[:_HOT], self._order[_HOT:]
        if cold:
            self._turn %= len(cold)
            hot += cold[self._turn : self._turn + _COLD]
            self._turn += _COLD
        return hot

    def _visit(self, place: _Place) -> None:
        try:
            changed = os.stat(place.path).st_mtime_ns  # noqa: PTH116 - thousands of them a second
        except OSError:
            return
        now = time.monotonic()
        if changed != place.changed and now >= place.not_before:
            # Listing only names takes half the time. Without a new name, a file may be replaced.
            news = place.changed >= 0 and self._list_names(place)
            if not news and not self._list(place):
                return
            if place.again is None:
                place.again = now + _AGAIN
            place.changed = changed
            self._order.sort(key=lambda one: -one.changed)
        elif place.again is not None and now >= max(place.again, place.not_before):
            place.again = None if self._list(place) else now + _AGAIN
        else:
            return
        place.not_before = now + _LISTING_SHARE * (time.monotonic() - now)

    def _list_names(self, place: _Place) -> bool:
        """Add new names; return whether there were any."""
        try:
            there = os.listdir(place.path)  # noqa: PTH208 - of 100,000 names
        except OSError:
            return False
        fresh = [name for name in there if name not in place.names]
        place.names.update(dict.fromkeys(fresh, 0))
        for name in fresh:
            self._enter(place, name)
        return bool(fresh)

    def _list(self, place: _Place) -> bool:
        """Update names that were added, removed or replaced; return False if listing fails."""
        try:
            with os.scandir(place.path) as entries:
                there = {entry.name: entry.inode() for entry in entries}
        except OSError:
            self._skipped.add(place.path, Reason.UNLISTED)
            return False
        self._skipped.discard(place.path)
        before, place.names = place.names, there
        for name, _ in there.items() - before.items():
            self._enter(place, name)
        for name in before.keys() - there.keys():
            place.images.discard(name)
            self._leave(f"{place.path}{os.sep}{name}")
        return True

    def _enter(self, place: _Place, name: str) -> None:
        path = f"{place.path}{os.sep}{name}"
        reason = why_not_watched(name, place.names)
        if reason is None and self._consider(path):
            place.images.add(name)
        elif os.path.isdir(path):  # noqa: PTH112
            self._enter_folder(path, name)
        else:
            self._skipped.add(path, reason or Reason.IRREGULAR)
        for own in place.images.intersection(own_images(name)):
            place.images.remove(own)
            self._pending.pop(f"{place.path}{os.sep}{own}", None)
            self._skipped.add(f"{place.path}{os.sep}{own}", Reason.OWN)

    def _enter_folder(self, path: str, name: str) -> None:
        if (reason := why_not_searched(name)) is not None:
            self._skipped.add(path, reason)
        elif path not in self._places:
            self._add(path)

    def _add(self, path: str) -> None:
        real = os.path.realpath(path)
        if real in self._reals or real == self._written:
            return
        self._reals.add(real)
        place = self._places[path] = _Place(path)
        self._order.append(place)
        self._visit(place)

    def _leave(self, path: str) -> None:
        self._pending.pop(path, None)
        if path in self._places:
            gone = [one for one in self._places if one == path or one.startswith(path + os.sep)]
            for one in gone:
                del self._places[one]
            self._order = list(self._places.values())
            self._order.sort(key=lambda one: -one.changed)
            self._reals = {os.path.realpath(one) for one in self._places}

    def _consider(self, path: str) -> bool:
        """Record an existing image that is not done, and since when it has not changed.

        Returns False for a folder or anything else that is not a file.
        """
        try:
            status = os.stat(path)  # noqa: PTH116 - thousands of them a second
        except OSError:  # removed again, or not yet readable
            self._pending.pop(path, None)
            return True
        if not stat.S_ISREG(status.st_mode):
            return False
        version = path, status.st_size, status.st_mtime_ns
        pending = self._pending.get(path)
        if version in self._done:
            self._pending.pop(path, None)
        elif pending is None or pending.version != version:
            now = time.monotonic()
            self._pending[path] = _Pending(version, now, now + self._settle)
        return True

    def _every_file(self) -> Iterator[str]:
        """Yield the paths of all images in an endless cycle, and ``""`` after each pass."""
        while True:
            for place in list(self._places.values()):
                for name in list(place.images):
                    yield f"{place.path}{os.sep}{name}"
            yield ""
