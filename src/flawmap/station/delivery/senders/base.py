"""What sends messages to one sink."""

from __future__ import annotations

from typing import Protocol

from flawmap.errors import FlawmapError
from flawmap.station.delivery.message import Outgoing

TIMEOUT = 10.0  # seconds for connecting, and for each answer


class DeliveryError(FlawmapError):
    """A message that did not arrive, or of which that is not known: send it again later."""


class Sender(Protocol):
    """Sends messages, one at a time."""

    def send(self, message: Outgoing) -> None:
        """Return when the other side has confirmed the message. Raises DeliveryError."""

    def close(self) -> None:
        """Give up the connection, if there is one."""
