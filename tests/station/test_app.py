"""The application as a whole."""

from __future__ import annotations

from fastapi.testclient import TestClient

from flawmap.station.context import Station
from station.conftest import ClientAs
from station.filling import fill


def test_a_page_needs_a_login(app_client: TestClient) -> None:
    assert app_client.get("/").status_code == 401


def test_the_live_page_shows_the_last_parts(station: Station, client_as: ClientAs) -> None:
    client = client_as("operator")
    assert "No part has been inspected yet" in client.get("/").text
    fill(station.database, 30)
    text = client.get("/").text
    assert "SN-1-0000029" in text
    assert "SN-1-0000005" not in text
