"""Event bus within the server's process: what pages that are open learn at once."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

_WAITING = 256  # events that a slow page may leave unread; after that it reloads


@dataclass(frozen=True)
class Event:
    """One thing that happened: `kind` is a word such as `part`, `values` are JSON types."""

    kind: str
    values: dict[str, Any] = field(default_factory=dict)


class EventBus:
    """Hand each published event to all who subscribed; thread-safe, never blocks the publisher."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queues: set[queue.Queue[Event]] = set()

    def publish(self, event: Event) -> None:
        """Give the event to all subscribers; one that lags loses its oldest events."""
        with self._lock:
            for waiting in self._queues:
                if waiting.full():
                    waiting.get_nowait()
                waiting.put_nowait(event)

    @contextmanager
    def subscribe(self) -> Iterator[queue.Queue[Event]]:
        """Yield a queue that receives all events published meanwhile."""
        own: queue.Queue[Event] = queue.Queue(_WAITING)
        with self._lock:
            self._queues.add(own)
        try:
            yield own
        finally:
            with self._lock:
                self._queues.discard(own)
