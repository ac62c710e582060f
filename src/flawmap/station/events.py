"""Event bus within the server's process: what pages that are open learn at once."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

_WAITING = 256  # events that a slow page may leave unread; older ones are dropped


@dataclass(frozen=True)
class Event:
    """One thing that happened: `kind` is a word such as `part`, `values` are JSON types."""

    kind: str
    values: dict[str, Any] = field(default_factory=dict)


class EventBus:
    """Hand each published event to all who subscribed; thread-safe, never blocks the publisher."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a signal may close the bus while its thread holds it
        self._receivers: set[Callable[[Event | None], None]] = set()
        self.closed = False

    def publish(self, event: Event) -> None:
        """Give the event to all subscribers; one that lags loses its oldest events."""
        self._give(event)

    def close(self) -> None:
        """End all streams, so that a server which stops does not wait for pages that are open."""
        self.closed = True
        self._give(None)

    def _give(self, event: Event | None) -> None:
        with self._lock:
            for receive in tuple(self._receivers):
                receive(event)

    @contextmanager
    def subscribe(self) -> Iterator[queue.Queue[Event]]:
        """Yield a queue that receives all events published meanwhile, for a thread."""
        waiting: queue.Queue[Event] = queue.Queue(_WAITING)

        def receive(event: Event | None) -> None:
            if event is None:
                return
            if waiting.full():
                waiting.get_nowait()
            waiting.put_nowait(event)

        with self._receiving(receive):
            yield waiting

    @contextmanager
    def stream(self) -> Iterator[EventStream]:
        """Yield a stream of all events published meanwhile, for a coroutine."""
        stream = EventStream(asyncio.get_running_loop(), self.closed)
        with self._receiving(stream.receive):
            yield stream

    @contextmanager
    def _receiving(self, receive: Callable[[Event | None], None]) -> Iterator[None]:
        with self._lock:
            self._receivers.add(receive)
        try:
            yield
        finally:
            with self._lock:
                self._receivers.discard(receive)


class EventStream:
    """Events for one coroutine; it occupies no thread while it waits."""

    def __init__(self, loop: asyncio.AbstractEventLoop, closed: bool = False) -> None:
        self._loop, self._arrived = loop, asyncio.Event()
        self._waiting: deque[Event] = deque(maxlen=_WAITING)
        self.closed = closed

    def receive(self, event: Event | None) -> None:
        """Take an event from any thread; None closes the stream."""
        if event is None:
            self.closed = True
        else:
            self._waiting.append(event)
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._arrived.set)

    async def next_events(self, seconds: float) -> list[Event]:
        """Wait for events, at most so long; return all that arrived, oldest first."""
        if not self._waiting and not self.closed:
            try:
                await asyncio.wait_for(self._arrived.wait(), seconds)
            except TimeoutError:
                return []
        self._arrived.clear()
        return [self._waiting.popleft() for _ in range(len(self._waiting))]
