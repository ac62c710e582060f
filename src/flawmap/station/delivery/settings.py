"""Settings of a sink: where its messages go, what proves that they are genuine, and which."""

from __future__ import annotations

import ssl
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, field_validator

SECRETS = ("secret", "password")
"""Settings that the station never shows."""
Verdict = Literal["good", "review", "reject", "error"]
TOPIC = "flawmap/{product}/{line}/verdict"
_PLACES = ("product", "line", "verdict")


class _Settings(BaseModel):
    """What all kinds have."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    products: tuple[int, ...] = Field((), max_length=1000, description="ids; empty for all")
    verdicts: tuple[Verdict, ...] = Field((), max_length=4, description="empty for all")
    ca: str | None = Field(
        None, max_length=100_000, description="PEM certificates to trust instead of the system's"
    )

    @field_validator("ca")
    @classmethod
    def _check_ca(cls, text: str | None) -> str | None:
        if not text:
            return None
        try:
            ssl.create_default_context(cadata=text)
        except (ssl.SSLError, ValueError, TypeError) as error:  # the last one: not ASCII
            raise ValueError(
                "give certificates as PEM text, -----BEGIN CERTIFICATE-----"
            ) from error
        return text

    def wants(self, product_id: int, verdict: str | None) -> bool:
        """Whether a part's verdict goes to this sink; None: the part could not be inspected."""
        has_product = not self.products or product_id in self.products
        return has_product and (not self.verdicts or (verdict or "error") in self.verdicts)

    def tls(self) -> ssl.SSLContext:
        """Return how the other side's certificate is checked."""
        return ssl.create_default_context(cadata=self.ca)


class WebhookSettings(_Settings):
    """A program that takes each message as the body of a POST request."""

    kind: Literal["webhook"] = "webhook"
    url: str = Field(max_length=2000, description="http:// or https://")
    secret: str = Field(
        "",
        max_length=200,
        description="key of the signature; empty: the station makes one and shows it once",
    )

    @field_validator("url")
    @classmethod
    def _check_url(cls, text: str) -> str:
        try:
            parts = urlsplit(text)
            _ = parts.port
        except ValueError as error:
            raise ValueError("give a URL such as https://mes.example/verdicts") from error
        if parts.scheme not in ("http", "https") or not parts.hostname or not _is_plain(text):
            raise ValueError("give a URL such as https://mes.example/verdicts")
        if "@" in parts.netloc:
            raise ValueError("give a URL without a user: the signature proves the sender")
        return text

    @property
    def address(self) -> str:
        """Where it is, for people; the query may be a secret."""
        return self.url.partition("?")[0]


class MqttSettings(_Settings):
    """An MQTT broker; messages are published with QoS 1."""

    kind: Literal["mqtt"] = "mqtt"
    host: str = Field(min_length=1, max_length=253)
    port: int = Field(1883, ge=1, le=65535, description="usually 1883, with TLS 8883")
    use_tls: bool = False
    user: str = Field("", max_length=200)
    password: str = Field("", max_length=200)
    topic: str = Field(
        TOPIC, max_length=500, description="may hold {product}, {line} and {verdict}"
    )

    @field_validator("host")
    @classmethod
    def _check_host(cls, text: str) -> str:
        if not _is_plain(text) or "/" in text:
            raise ValueError("give a name or an address, without a port")
        return text

    @field_validator("topic")
    @classmethod
    def _check_topic(cls, text: str) -> str:
        bare = text
        for place in _PLACES:
            bare = bare.replace(f"{{{place}}}", "x")
        if any(c in bare for c in "{}+#") or not bare.isprintable() or not bare.strip("/"):
            raise ValueError(f"give a topic such as {TOPIC}, without the wildcards + and #")
        return text

    @property
    def address(self) -> str:
        """Where it is, for people."""
        return f"{'mqtts' if self.use_tls else 'mqtt'}://{self.host}:{self.port}, {self.topic}"

    def topic_for(self, product: str, line: str | None, verdict: str | None) -> str:
        """Return the topic of a message.

        >>> MqttSettings(host="broker").topic_for("board/top", "line 2", "reject")
        'flawmap/board_top/line 2/verdict'
        """
        topic = self.topic
        for place, text in zip(_PLACES, (product, line or "-", verdict or "error"), strict=True):
            topic = topic.replace(f"{{{place}}}", _level(text))
        return topic


Settings = Annotated[WebhookSettings | MqttSettings, Field(discriminator="kind")]
_adapter: TypeAdapter[WebhookSettings | MqttSettings] = TypeAdapter(Settings)


def read_settings(stored: dict[str, Any]) -> WebhookSettings | MqttSettings:
    """Return the settings in a sink's row."""
    return _adapter.validate_python(stored)


def _level(text: str) -> str:
    """Return a name as one level of a topic."""
    return "".join("_" if c in "/+#{}" or not c.isprintable() else c for c in text)


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text
