"""A station that inspects, for tests: one product on a copy of the tiny run, and images for it."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from fastapi.testclient import TestClient
from PIL import Image
from sqlalchemy import select

from flawmap.station.app import create_app
from flawmap.station.config import StationConfig
from flawmap.station.context import Station
from flawmap.station.database.tables import ApiKey, Part
from flawmap.station.database.tables.base import now
from flawmap.station.intake.service import InspectionService, intake_of
from flawmap.station.security.secrets import new_token, token_digest
from station.filling import add_user

LIMIT = 30.0  # seconds after which a test stops waiting


def draw_png(seed: int = 0, size: tuple[int, int] = (40, 50)) -> bytes:
    """The file of an image of noise, another one for each seed."""
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def add_key(station: Station, scopes: str = "inspect read") -> dict[str, str]:
    """Headers with a new API key."""
    user_id, key = add_user(station.database, "maker", "administrator"), new_token()
    with station.database.write() as session:
        session.add(
            ApiKey(
                name="line",
                digest=token_digest(key),
                prefix=key[:8],
                scopes=scopes,
                user_id=user_id,
                created_at=now(),
            )
        )
    return {"Authorization": f"Bearer {key}"}


class Inspecting:
    """A running station, and a client with a key that may inspect and read."""

    def __init__(self, app: Any, client: TestClient) -> None:
        self.station: Station = app.state.station
        self.intake: InspectionService = intake_of(self.station)
        self.client, self.app = client, app
        client.headers.update(add_key(self.station))

    def send(self, data: bytes, **texts: Any) -> Any:
        """Send an image as the body of a request."""
        headers = {"Content-Type": "image/png"}
        return self.client.post("/api/v1/inspect", content=data, params=texts, headers=headers)

    def parts(self) -> list[Part]:
        """All stored parts, in their order."""
        with self.station.database.read() as session:
            return list(session.scalars(select(Part).order_by(Part.id)))


@contextmanager
def inspecting(data: Path, *runs: str | Path, **settings: Any) -> Iterator[Inspecting]:
    """A running station with these runs."""
    single = {"threads": 1, "workers": 1, "batch": 4}
    config = StationConfig(data=data, runs=tuple(map(str, runs)), **single | settings)
    app = create_app(config)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield Inspecting(app, client)


def wait_until(done: Callable[[], object], limit: float = LIMIT) -> None:
    """Return when it is so; fail after `limit` seconds."""
    end = time.monotonic() + limit
    while not done():
        assert time.monotonic() < end, "it did not come to it"
        time.sleep(0.01)
