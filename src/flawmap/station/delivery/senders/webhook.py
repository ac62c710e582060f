"""Webhook: a signed POST request for each message."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import time
from urllib.parse import urlsplit

from flawmap.station.delivery.message import Outgoing
from flawmap.station.delivery.senders.base import TIMEOUT, DeliveryError
from flawmap.station.delivery.settings import WebhookSettings

_READ = 1000  # bytes of an answer that are looked at
_SHOWN = 100  # characters of it in an error


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """Return the value of the header `X-Flawmap-Signature`.

    >>> signature("key", "1700000000", b"{}")[:20]
    'sha256=9d713ed406bb7'
    """
    digest = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256)
    return f"sha256={digest.hexdigest()}"


class Webhook:
    """Sends by POST over a new connection each; an answer of 200 to 299 confirms.

    Redirects are not followed: a message goes to the host that was entered, and nowhere else.
    """

    def __init__(self, settings: WebhookSettings) -> None:
        self._settings = settings
        self._url = urlsplit(settings.url)

    def send(self, message: Outgoing) -> None:
        """Send one message. Raises DeliveryError."""
        body = json.dumps(message.payload).encode()
        connection = self._connection()
        try:
            connection.request("POST", self._target(), body, self._headers(message, body))
            answer = connection.getresponse()
            _check(answer, answer.read(_READ))
        except (OSError, http.client.HTTPException) as error:
            reason = str(error) or type(error).__name__
            raise DeliveryError(f"{self._url.netloc} does not answer: {reason}.") from error
        finally:
            connection.close()

    def close(self) -> None:
        """No connection is kept."""

    def _connection(self) -> http.client.HTTPConnection:
        host, port = self._url.hostname or "", self._url.port
        if self._url.scheme == "https":
            tls = self._settings.tls()
            return http.client.HTTPSConnection(host, port, timeout=TIMEOUT, context=tls)
        return http.client.HTTPConnection(host, port, timeout=TIMEOUT)

    def _target(self) -> str:
        path = self._url.path or "/"
        return f"{path}?{self._url.query}" if self._url.query else path

    def _headers(self, message: Outgoing, body: bytes) -> dict[str, str]:
        timestamp = str(int(time.time()))
        return {
            "Content-Type": "application/json",
            "User-Agent": "flawmap",
            "X-Flawmap-Message": message.id,
            "X-Flawmap-Timestamp": timestamp,
            "X-Flawmap-Signature": signature(self._settings.secret, timestamp, body),
        }


def _check(answer: http.client.HTTPResponse, text: bytes) -> None:
    if 200 <= answer.status < 300:
        return
    if 300 <= answer.status < 400:
        raise DeliveryError(
            f"It answered {answer.status} and named another address. Redirects are not followed: "
            "enter the final URL."
        )
    shown = " ".join(text.decode("utf-8", "replace").split())[:_SHOWN]
    raise DeliveryError(f"It answered {answer.status} {answer.reason}{f': {shown}' * bool(shown)}")
