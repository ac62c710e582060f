"""Which sender is for which settings."""

from __future__ import annotations

from flawmap.station.delivery.senders.base import Sender
from flawmap.station.delivery.senders.mqtt import Mqtt
from flawmap.station.delivery.senders.webhook import Webhook
from flawmap.station.delivery.settings import MqttSettings, WebhookSettings


def create_sender(settings: WebhookSettings | MqttSettings) -> Sender:
    """Return what sends to the sink of these settings; it connects with the first message."""
    return Webhook(settings) if isinstance(settings, WebhookSettings) else Mqtt(settings)
