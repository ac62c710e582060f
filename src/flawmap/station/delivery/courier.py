"""Courier: the thread that brings the messages of one sink, in their order."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from flawmap.station.database.engine import Database
from flawmap.station.database.tables.base import now
from flawmap.station.delivery import outbox
from flawmap.station.delivery.message import Outgoing
from flawmap.station.delivery.senders.base import DeliveryError, Sender

FIRST, LONGEST = 1.0, 600.0  # seconds until a failed message is sent again: doubled each time
GIVEN_UP = 7 * 24 * 3600.0  # seconds after which a message is given up
_TOGETHER = 32  # messages marked as delivered in one transaction, at most
_SOON = 0.25  # seconds after which they are marked anyhow
_LOOK = 1.0  # seconds until the outbox is looked at without being told of anything new
_CLEANING = 600.0  # seconds between two deletions of old messages
_LOG = logging.getLogger("flawmap.station")


def pause_after(attempts: int) -> float:
    """Return the seconds until a message is sent again that failed so often.

    >>> [pause_after(n) for n in (1, 2, 3, 10, 5000)]
    [1.0, 2.0, 4.0, 512.0, 600.0]
    """
    return float(min(LONGEST, FIRST * 2 ** min(attempts - 1, 20)))


class Courier(threading.Thread):
    """Sends what waits for one sink; a message that fails holds up those behind it."""

    def __init__(
        self, database: Database, sink_id: int, name: str, create: Callable[[], Sender]
    ) -> None:
        super().__init__(name=f"flawmap-sink-{sink_id}", daemon=True)
        self._database, self._id, self._shown, self._create = database, sink_id, name, create
        self._told, self._stopping = threading.Event(), threading.Event()
        self._cleaned = time.monotonic()

    def wake(self) -> None:
        """Say that there is something new."""
        self._told.set()

    def stop(self) -> None:
        """End after the message that is under way."""
        self._stopping.set()
        self._told.set()

    def run(self) -> None:
        """Deliver until stopped."""
        sender, failed = self._create(), False
        while not self._stopping.is_set():
            self._told.clear()
            try:
                pause, failed = self._round(sender), False
            except Exception:  # such as a database that is being restored
                if not failed:
                    _LOG.exception("Delivery to %s failed; it is tried again", self._shown)
                pause, failed = _LOOK, True
            if pause > 0:
                self._told.wait(pause)
        sender.close()

    def _round(self, sender: Sender) -> float:
        """Send what is due; return the seconds until the next look, 0 if more is waiting."""
        self._clean()
        messages, at = outbox.next_messages(self._database, self._id, _TOGETHER)
        if not messages:
            return _LOOK
        if (early := (at - now()) / 1e6) > 0:
            return min(early, _LOOK)
        delivered, failure = self._send(sender, messages)
        if delivered:
            with self._database.write() as session:
                outbox.note_delivered(session, [one.row_id for one in delivered])
        if failure is not None:
            self._note(messages[len(delivered)], failure)
        return 0.0

    def _send(
        self, sender: Sender, messages: list[Outgoing]
    ) -> tuple[list[Outgoing], DeliveryError | None]:
        """Return those that were delivered, within a short time, and why the next one was not."""
        delivered: list[Outgoing] = []
        until = time.monotonic() + _SOON
        for message in messages:
            try:
                sender.send(message)
            except DeliveryError as error:
                return delivered, error
            delivered.append(message)
            if time.monotonic() > until or self._stopping.is_set():
                break
        return delivered, None

    def _note(self, message: Outgoing, error: DeliveryError) -> None:
        """Store when a message is sent again, or that it is given up."""
        attempts, text = message.attempts + 1, str(error)
        gone = now() - message.created_at > GIVEN_UP * 1e6
        next_at = None if gone else now() + round(pause_after(attempts) * 1e6)
        with self._database.write() as session:
            outbox.note_failed(session, message.row_id, text, next_at)
        if gone:
            _LOG.error("A message to %s is given up after 7 days: %s", self._shown, text)
        elif attempts == 1:
            _LOG.warning("A message to %s failed, and is sent again: %s", self._shown, text)

    def _clean(self) -> None:
        if time.monotonic() - self._cleaned > _CLEANING and not outbox.delete_old(
            self._database, self._id
        ):
            self._cleaned = time.monotonic()
