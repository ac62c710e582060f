"""What was read from the database a moment ago, so that not every request reads it again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

V = TypeVar("V")
SECONDS = 5.0  # other processes' changes are seen after this long at most
_MOST = 10_000  # entries; more are only made by an attack, and start over


class FreshCache(Generic[V]):
    """Values by key for a few seconds; thread-safe.

    Whoever changes what values are made from calls `clear` after the commit: a value that was
    being read meanwhile is not kept.
    """

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._values: dict[str, tuple[float, V]] = {}
        self._generation = 0

    def get(self, key: str) -> V | None:
        """Return the value, or None if it is unknown or too old."""
        found = self._values.get(key)
        if found is None or time.monotonic() - found[0] > self._seconds:
            return None
        return found[1]

    def load(self, key: str, read: Callable[[], V | None]) -> V | None:
        """Return what `read` does, and keep it unless it is None or `clear` was called."""
        generation, begun = self._generation, time.monotonic()
        value = read()
        with self._lock:
            if value is not None and generation == self._generation:
                if len(self._values) >= _MOST:
                    self._values.clear()
                self._values[key] = (begun, value)
        return value

    def clear(self) -> None:
        """Forget all values."""
        with self._lock:
            self._generation += 1
            self._values.clear()
