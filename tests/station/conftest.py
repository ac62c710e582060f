"""Fixtures of the station's tests: a station in a temporary folder, people, and stored parts."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from fastapi.testclient import TestClient

from flawmap.station.app import create_app
from flawmap.station.config import StationConfig
from flawmap.station.context import Station
from flawmap.station.security import passwords, requests
from flawmap.station.security.roles import Role
from station.browsing import browser, page_as, site
from station.filling import add_login
from station.postgres import postgres_server, postgres_station_url, postgres_url

__all__ = ["browser", "page_as", "postgres_server", "postgres_station_url", "postgres_url", "site"]

ClientAs = Callable[[Role], TestClient]


@pytest.fixture(autouse=True, scope="session")
def testserver_is_known() -> Iterator[None]:
    """The test client calls each station `testserver`."""
    known = pytest.MonkeyPatch()
    known.setattr(requests, "LOOPBACK", requests.LOOPBACK | {"testserver"})
    yield
    known.undo()


@pytest.fixture(autouse=True, scope="session")
def cheap_passwords() -> Iterator[None]:
    """Hashes that take no time; `test_passwords` looks at the real ones."""
    cheap = pytest.MonkeyPatch()
    cheap.setattr(passwords, "_hasher", PasswordHasher(1, 64, 1))
    yield
    cheap.undo()


@pytest.fixture
def database_url(request: pytest.FixtureRequest) -> str | None:
    """URL of a new database; None for SQLite. See :data:`station.postgres.on_both`."""
    kind = getattr(request, "param", os.environ.get("FLAWMAP_STATION_DATABASE", "sqlite"))
    return None if kind == "sqlite" else str(request.getfixturevalue("postgres_station_url"))


@pytest.fixture
def app_client(tmp_path: Path, database_url: str | None) -> Iterator[TestClient]:
    """A client without login of a running station, whose data are in ``tmp_path/station``."""
    config = StationConfig(data=tmp_path / "station", database=database_url)
    with TestClient(create_app(config)) as client:
        yield client


@pytest.fixture
def station(app_client: TestClient) -> Station:
    """The station that ``app_client`` and ``client_as`` talk to."""
    return app_client.app.state.station  # type: ignore[attr-defined]


@pytest.fixture
def client_as(app_client: TestClient, station: Station) -> ClientAs:
    """A function that returns a client logged in with a role; the user has the role's name."""

    def client(role: Role) -> TestClient:
        cookie, csrf = add_login(station.database, role)
        logged_in = TestClient(app_client.app, headers={"X-CSRF-Token": csrf})
        logged_in.cookies.set("flawmap_session", cookie)
        return logged_in

    return client
