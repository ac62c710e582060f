"""Fixtures of tests of delivery."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from flawmap.station.delivery import courier
from station.delivery.receiving import broker
from station.inspecting import Inspecting, add_key, inspecting

__all__ = ["broker"]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages are sent again after milliseconds."""
    monkeypatch.setattr(courier, "FIRST", 0.02)
    monkeypatch.setattr(courier, "_LOOK", 0.02)


@pytest.fixture
def line(tiny_run: Path, tmp_path: Path) -> Iterator[Inspecting]:
    """A station with one product, `board`, and a key that may all that engineers may."""
    with inspecting(tmp_path / "data", f"board={tiny_run}") as line:
        line.client.headers.update(add_key(line.station, "inspect read manage"))
        yield line
