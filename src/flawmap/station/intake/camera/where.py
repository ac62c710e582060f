"""Settings of a camera: where its images come from, and which of them are inspected."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

SCHEMES = ("rtsp", "rtsps", "http", "https")
_MOST_DEVICES = 64
_NAMED = re.compile(r"[0-9]{1,2}|(rtsps?|https?)://.+")


class Camera(BaseModel):
    """A device, network camera or video file.

    `where`: the device's number, a URL, or the path of a video file, which no request can name.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    where: str = Field(min_length=1, max_length=2000)
    take: Literal["interval", "trigger"] = Field(
        "interval", description="an image every `interval` seconds, or one for each trigger"
    )
    interval: float = Field(1.0, ge=0.02, le=86_400.0, description="seconds between two images")
    line: str | None = Field(None, max_length=100, description="production line of its parts")

    @field_validator("where")
    @classmethod
    def _check_where(cls, text: str) -> str:
        if text.isascii() and text.isdigit():
            if int(text) >= _MOST_DEVICES:
                raise ValueError(f"give a device's number below {_MOST_DEVICES}")
        elif urlsplit(text).scheme in SCHEMES and not urlsplit(text).hostname:
            raise ValueError("give a URL with a host")
        return text

    @property
    def is_file(self) -> bool:
        """Whether it is a video file: it has an end, and waits for the queue."""
        return not self.where.isdigit() and urlsplit(self.where).scheme not in SCHEMES

    @property
    def address(self) -> str:
        """Where it is, for people: without the password of a URL, and what may be one."""
        if self.where.isdigit():
            return f"device {self.where}"
        if self.is_file:
            return Path(self.where).name
        parts = urlsplit(self.where)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


class NetworkCamera(Camera):
    """A camera that a request may name: a device or a URL, never a path."""

    @field_validator("where")
    @classmethod
    def _is_no_path(cls, text: str) -> str:
        if not _NAMED.fullmatch(text):
            raise ValueError(
                "give the device's number, such as 0, or a URL that begins with rtsp://, rtsps://, "
                "http:// or https://"
            )
        return text


def where_of(text: str) -> str | None:
    """Return a device's number, a URL or a video file's path as it is stored; None for neither.

    >>> where_of("0"), where_of("rtsp://camera/1"), where_of("nowhere.mp4")
    ('0', 'rtsp://camera/1', None)
    """
    if text.isascii() and text.isdigit():
        return text
    if urlsplit(text).scheme in SCHEMES:
        return text
    path = Path(text)
    return str(path.absolute()) if path.is_file() else None
