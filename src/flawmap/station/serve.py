"""``flawmap serve``: start a station and run it until it is told to stop."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import uvicorn

from flawmap.station.app import create_app
from flawmap.station.config import StationConfig


def serve(
    runs: Sequence[str] = (),
    *,
    data: Path,
    database: str | None = None,
    host: str = "127.0.0.1",
    port: int = 8420,
    proxy: bool = False,
) -> None:
    """Run a station. Returns when it was stopped by a signal."""
    config = StationConfig(data=data, database=database, host=host, port=port, proxy=proxy)
    uvicorn.run(create_app(config), host=host, port=port, log_level="warning")
