"""MQTT: each message is published with QoS 1, and confirmed by the broker."""

from __future__ import annotations

import json
import threading
from typing import Any

from flawmap.station.delivery.message import Outgoing
from flawmap.station.delivery.senders.base import TIMEOUT, DeliveryError
from flawmap.station.delivery.settings import MqttSettings

_KEEP_ALIVE = 30  # seconds


class Mqtt:
    """Keeps one connection, and makes a new one after any failure.

    A new connection is a new session: the broker never gets what an earlier one left unconfirmed
    from the library, only from the outbox.
    """

    def __init__(self, settings: MqttSettings) -> None:
        self._settings = settings
        self._client: Any = None

    def send(self, message: Outgoing) -> None:
        """Publish one message, and wait for the broker. Raises DeliveryError."""
        payload = message.payload
        topic = self._settings.topic_for(payload["product"], payload["line"], payload["verdict"])
        try:
            if self._client is None or not self._client.is_connected():
                self.close()
                self._client = self._connected()
            sent = self._client.publish(topic, json.dumps(payload), qos=1)
            sent.wait_for_publish(TIMEOUT)
            confirmed = sent.is_published()
        except (OSError, ValueError, RuntimeError) as error:
            self.close()
            raise DeliveryError(f"{self._where} does not answer: {error}.") from error
        if not confirmed:
            self.close()
            raise DeliveryError(f"{self._where} did not confirm within {TIMEOUT:.0f} s.")

    def close(self) -> None:
        """End the connection."""
        client, self._client = self._client, None
        if client is not None:
            client.disconnect()
            client.loop_stop()

    @property
    def _where(self) -> str:
        return f"{self._settings.host}:{self._settings.port}"

    def _connected(self) -> Any:
        """Return a client that the broker has accepted."""
        client, answered, refusals = _new_client(), threading.Event(), list[str]()

        def on_connect(
            _client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any
        ) -> None:
            if reason.is_failure:
                refusals.append(str(reason))
            answered.set()

        client.on_connect = on_connect
        client.connect_timeout = TIMEOUT
        if self._settings.use_tls:
            client.tls_set_context(self._settings.tls())
        if self._settings.user:
            client.username_pw_set(self._settings.user, self._settings.password)
        client.connect(self._settings.host, self._settings.port, _KEEP_ALIVE)
        client.loop_start()
        if answered.wait(TIMEOUT) and not refusals:
            return client
        client.disconnect()
        client.loop_stop()
        raise DeliveryError(f"{self._where} refused: {(*refusals, 'no answer')[0]}.")


def _new_client() -> Any:
    try:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion
    except ModuleNotFoundError as error:
        raise DeliveryError("MQTT needs one more package: pip install 'flawmap[mqtt]'") from error
    return Client(CallbackAPIVersion.VERSION2)
