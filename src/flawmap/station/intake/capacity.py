"""Capacity: how many images, and bytes of them, the station holds at any time."""

from __future__ import annotations

import threading

from flawmap.station.intake.submission import BusyError


class Capacity:
    """Count images and bytes that were accepted and not answered yet; refuse more at once."""

    def __init__(self, items: int, bytes: int) -> None:
        self._most = items, bytes
        self._changed = threading.Condition()
        self._items = self._bytes = 0
        self._closed = False

    @property
    def items(self) -> int:
        """Number of images held."""
        return self._items

    def take(self, items: int, bytes: int) -> None:
        """Reserve place. Raises BusyError if there is none, or the station stops."""
        with self._changed:
            if self._closed:
                raise BusyError("The station stops: send the image again when it has started.", 5)
            full = self._items + max(1, items) > self._most[0]  # a body becomes an image
            if full or self._bytes + bytes > self._most[1]:
                raise BusyError("The queue is full: send the image again in a second.")
            self._items += items
            self._bytes += bytes

    def give_back(self, items: int, bytes: int) -> None:
        """Release what was reserved."""
        with self._changed:
            self._items -= items
            self._bytes -= bytes
            self._changed.notify_all()

    def close(self) -> None:
        """Take nothing more."""
        with self._changed:
            self._closed = True

    def wait_until_empty(self) -> None:
        """Return when all images that were accepted are answered."""
        with self._changed:
            self._changed.wait_for(lambda: self._items == 0)


class Reservation:
    """Bytes reserved for a body that is being received; left unused, they are released.

    An image whose size is not known grows its reservation with every piece.
    """

    def __init__(self, capacity: Capacity, bytes: int = 0) -> None:
        self._capacity, self._held = capacity, 0
        self.grow_to(bytes)

    def grow_to(self, bytes: int) -> None:
        """Reserve `bytes` in all. Raises BusyError."""
        if bytes > self._held:
            self._capacity.take(0, bytes - self._held)
            self._held = bytes

    def release(self) -> None:
        """Give back what is reserved."""
        self._capacity.give_back(0, self._held)
        self._held = 0

    def __enter__(self) -> Reservation:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
