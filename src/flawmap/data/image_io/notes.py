"""Notes on decisions made for the user while reading images: reported once, not per file."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum

_LOG = logging.getLogger("flawmap")
_PATIENCE = 10.0  # seconds after which a kind of note is reported before the command ends


class Kind(Enum):
    """Kind of decision."""

    PAGES = "pages"
    DARK = "dark"
    GUESSED = "guessed"
    CLIPPED = "clipped"


@dataclass
class _Tally:
    names: set[str] = field(default_factory=set)
    unnamed: int = 0
    highest: int = 0
    reported: int = 0

    @property
    def count(self) -> int:
        return len(self.names) + self.unnamed


class Notes:
    """Notes of one command, counted by kind."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._lock = threading.Lock()
        self._since = time.monotonic()
        self._tallies: dict[tuple[Kind, int], _Tally] = {}

    def add(self, kind: Kind, name: str | None, highest: int, white: int) -> None:
        """Count a note; in a long command, report it at once if its kind was not reported yet."""
        with self._lock:
            tally = self._tallies.setdefault((kind, white), _Tally())
            tally.highest = max(tally.highest, highest)
            if name is None:
                tally.unnamed += 1
            elif tally.reported == 0:  # else names pile up while a camera is watched
                tally.names.add(name)
            late = tally.reported == 0 and time.monotonic() - self._since > _PATIENCE
            tally.reported = tally.count if late else tally.reported
        if late:
            self._say(_sentence(kind, tally.count, tally.highest, white))

    def close(self) -> None:
        """Report what was not reported yet."""
        for (kind, white), tally in self._tallies.items():
            if tally.reported == 0:
                self._say(_sentence(kind, tally.count, tally.highest, white))


_gathering: Notes | None = None
_reported_kinds: set[Kind] = set()  # without `gathered`: once per process, like Python's warnings


@contextmanager
def gathered(say: Callable[[str], None]) -> Iterator[None]:
    """Count the notes of the block and report each kind in one line, at the end at the latest."""
    global _gathering
    before, _gathering = _gathering, Notes(say)
    try:
        yield
    finally:
        gatherer, _gathering = _gathering, before
        gatherer.close()


def note(kind: Kind, name: str | None = None, *, highest: int = 0, white: int = 0) -> None:
    """Note a decision on an image; `highest` is its highest value, `white` its white level."""
    if _gathering is not None:
        _gathering.add(kind, name, highest, white)
    elif kind not in _reported_kinds:
        _reported_kinds.add(kind)
        sentence = _sentence(kind, 1, highest, white)
        _LOG.warning("%s%s", f"{name}: " if name else "", sentence)


def _sentence(kind: Kind, count: int, highest: int, white: int) -> str:
    from flawmap.data.image_io.white_level import (  # imports NumPy, which would slow down --help
        FULL_16,
        bits_of,
        lowest_white,
    )

    one = count == 1
    images = f"{count} image{'' if one else 's'} of 16 bits hold{'s' if one else ''} values"
    bits = bits_of(lowest_white(highest))
    if kind is Kind.PAGES:
        return (
            f"{count} file{' holds' if one else 's hold'} several pages or frames: "
            f"only the first {'' if one else 'of each '}is read."
        )
    if kind is Kind.CLIPPED:
        return f"{images} above the white level {white}, up to {highest:,}: these count as white."
    if kind is Kind.GUESSED:
        return f"{images} up to {highest:,} only: read as {bits} bits."
    return (
        f"{images} up to {highest:,} only, as {bits}-bit cameras give, but are read with "
        f"{FULL_16} as white, darker than meant: train on such images, or save them with that "
        "white."
    )
