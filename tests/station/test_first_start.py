"""`flawmap serve` from the first start to a forgotten password, as a process of its own."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from flawmap.station.database.engine import Database
from station.filling import add_login
from station.people import PASSWORD


@contextmanager
def started(data: Path, *options: str) -> Iterator[tuple[str, str]]:
    """A station in a process; yield its address, and the link that it printed."""
    command = [sys.executable, "-m", "flawmap", "serve", "--data", str(data), "--port", "0"]
    process = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        address = re.findall(r"http://[0-9.:]+\d", process.stdout.readline())[0]
        yield address, re.findall(r"http://\S+", process.stdout.readline())[0]
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.slow
def test_the_first_link_and_a_forgotten_password(tmp_path: Path) -> None:
    data = tmp_path / "station"
    form = {"name": "ann", "password": PASSWORD, "again": PASSWORD}
    with started(data) as (address, link):
        assert link.startswith(f"{address}/setup/")
        with httpx2.Client() as client:
            assert client.post(link, data=form).status_code == 303
            assert client.get(f"{address}/people").status_code == 200
    with started(data, "--reset-administrator") as (address, link), httpx2.Client() as client:
        assert link.startswith(f"{address}/setup/")
        assert "ann" in client.get(link).text
        forgotten = form | {"password": "a new pass phrase", "again": "a new pass phrase"}
        assert client.post(link, data=forgotten).status_code == 303
        assert client.get(f"{address}/people").status_code == 200
        login = {"name": "ann", "password": PASSWORD}
        assert client.post(f"{address}/login", data=login).status_code == 401


@pytest.mark.slow
def test_open_pages_do_not_delay_the_end(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "flawmap", "serve", "--data", str(tmp_path), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        address = re.findall(r"http://[0-9.:]+\d", process.stdout.readline())[0]
        database = Database(f"sqlite:///{tmp_path}/station.sqlite")
        cookie, _ = add_login(database, "operator")
        database.close()
        login = {"Cookie": f"flawmap_session={cookie}"}
        with httpx2.stream("GET", f"{address}/events", headers=login) as stream:
            pieces = stream.iter_text()
            assert next(pieces).startswith("event: state")
            begun = time.monotonic()
            process.send_signal(signal.SIGTERM)
            for _ in pieces:
                pass
            assert process.wait(10) == 0
            assert time.monotonic() - begun < 3.0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
