"""A private PostgreSQL server for tests: in a temporary folder, on a free port of the loopback."""

from __future__ import annotations

import itertools
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from flawmap.station.database.engine import Database

_NUMBERS = itertools.count()
_FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=200")

on_both = pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
"""Mark of tests of a station that run on both databases. The others run on SQLite, or all on
PostgreSQL with ``FLAWMAP_STATION_DATABASE=postgresql``."""


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a running server, without the database's name; skips the test where there is none."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not folders or os.geteuid() != 0 or shutil.which("runuser") is None:
        pytest.skip("needs PostgreSQL and root: apt-get install postgresql")
    place = tmp_path_factory.mktemp("postgres")
    for folder in (place, *place.parents):  # the server's user must get there
        if folder.stat().st_uid == 0 and str(folder).startswith("/tmp/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    shutil.chown(place, "postgres")
    data = place / "data"
    run(folders[-1] / "initdb", "-A", "trust", "-E", "UTF8", "--no-sync", "-D", data)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = [word for setting in _FAST for word in ("-c", setting)]
    command = [folders[-1] / "postgres", "-D", data, "-h", "127.0.0.1", "-p", port]
    server = subprocess.Popen(
        as_postgres(*command, "-k", place, *options),
        stdout=subprocess.DEVNULL,
        stderr=(place / "log").open("wb"),
    )
    try:
        wait_for(f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres", server)
        url = f"postgresql+psycopg://postgres@127.0.0.1:{port}"
        execute(url, "CREATE DATABASE template_station")
        made = Database(f"{url}/template_station")
        made.upgrade()
        made.close()
        yield url
    finally:
        run(folders[-1] / "pg_ctl", "stop", "-m", "immediate", "-D", data, check=False)
        server.wait(20)


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """URL of an empty database."""
    yield from database(postgres_server, "template0")


@pytest.fixture
def postgres_station_url(postgres_server: str) -> Iterator[str]:
    """URL of a database with the station's tables."""
    yield from database(postgres_server, "template_station")


def database(url: str, template: str) -> Iterator[str]:
    """Make a database for one test."""
    name = f"station_{next(_NUMBERS)}"
    execute(url, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
    yield f"{url}/{name}"
    execute(url, f"DROP DATABASE {name} WITH (FORCE)")


def execute(url: str, statement: str) -> None:
    engine = create_engine(f"{url}/postgres", isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()


def as_postgres(*command: object) -> list[str]:
    """Return the command run by the user `postgres`: the server refuses to be root."""
    return ["runuser", "-u", "postgres", "--", *map(str, command)]


def run(*command: object, check: bool = True) -> None:
    subprocess.run(as_postgres(*command), check=check, capture_output=True, cwd="/")


def wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    engine = create_engine(url)
    for _ in range(300):
        assert server.poll() is None, "PostgreSQL did not start"
        try:
            with engine.connect():
                return
        except Exception:
            time.sleep(0.1)
        finally:
            engine.dispose()
    raise AssertionError("PostgreSQL did not answer within 30 seconds")
