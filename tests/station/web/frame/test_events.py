"""Server-sent events: what happens reaches a page at once, and no stream keeps a station alive."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from fastapi.testclient import TestClient

from flawmap.station.context import Station
from flawmap.station.database.tables import LoginSession
from flawmap.station.events import Event
from flawmap.station.web.frame import events
from station.filling import add_login


@contextmanager
def opened(site: tuple[str, Station]) -> Iterator[Any]:
    address, station = site
    cookie, _ = add_login(station.database, "operator")
    request = urllib.request.Request(
        address + "/events", headers={"Cookie": f"flawmap_session={cookie}"}
    )
    with urllib.request.urlopen(request, timeout=10) as stream:
        yield stream


def next_message(stream: Any) -> str:
    lines = []
    while (line := stream.readline().decode()) not in ("\n", ""):
        lines.append(line)
    return "".join(lines)


def test_a_stream_needs_a_login(app_client: TestClient) -> None:
    assert app_client.get("/events").status_code == 401
    assert app_client.head("/events").status_code == 401


def test_events_arrive_at_once_and_bursts_of_parts_as_one(site: tuple[str, Station]) -> None:
    with opened(site) as stream:
        assert next_message(stream) == 'event: state\ndata: {"queue": 0}\n'
        begun = time.monotonic()
        for part in range(1000):
            site[1].events.publish(Event("part", {"id": part}))
        site[1].events.publish(Event("job", {"id": 3}))
        parts = 1
        while next_message(stream) != 'event: part\ndata: {"id": 999}\n':
            parts += 1  # a busy machine may look in the middle of the burst
        assert parts < 10
        assert next_message(stream) == 'event: job\ndata: {"id": 3}\n'
        assert time.monotonic() - begun < 2.0


def test_a_stream_ends_with_the_station(site: tuple[str, Station]) -> None:
    with opened(site) as stream:
        next_message(stream)
        site[1].events.close()
        assert next_message(stream) == ""


@pytest.mark.slow
def test_a_stream_ends_with_the_login(
    site: tuple[str, Station], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "HEARTBEAT", 0.0)
    monkeypatch.setattr(events, "_STATE", 0.05)
    with opened(site) as stream:
        next_message(stream)
        assert next_message(stream) == ": still here\n"
        with site[1].database.write() as session:
            session.query(LoginSession).delete()
        while text := next_message(stream):
            assert text == ": still here\n"
