"""Who calls: CSRF tokens, other processes, and what it costs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import pytest
from fastapi import FastAPI, File, Form, Request, UploadFile
from fastapi.testclient import TestClient
from sqlalchemy import update

from flawmap.station.context import Station
from flawmap.station.database.engine import Database
from flawmap.station.database.tables import User
from flawmap.station.memory.fresh import FreshCache
from flawmap.station.security.callers import Operator, known_caller
from station.apart import run_apart
from station.filling import add_login
from station.people import add_key


@pytest.fixture
def app(app_client: TestClient) -> FastAPI:
    """A station with a route that takes forms and files."""
    app = app_client.app
    assert isinstance(app, FastAPI)

    @app.post("/form")
    def form(caller: Operator, text: Annotated[str, Form()]) -> str:
        return text

    @app.post("/file")
    def file(caller: Operator, upload: Annotated[UploadFile, File()]) -> int:
        return len(upload.file.read())

    @app.post("/raw")
    async def raw(caller: Operator, request: Request) -> int:
        return len(await request.body())

    @app.post("/own-form")
    async def own_form(caller: Operator, request: Request) -> int:
        return len(b"".join([piece async for piece in request.stream()]))

    return app


def test_a_change_needs_the_token(app: FastAPI, station: Station) -> None:
    cookie, csrf = add_login(station.database, "operator")
    client = TestClient(app, cookies={"flawmap_session": cookie})
    file = {"upload": ("a.png", b"12345", "image/png")}
    for token, status in ((csrf, 200), ("", 403), ("wrong", 403), ("\u00e9", 403)):
        form = {"text": "hello", "csrf": token}
        assert client.post("/form", data=form).status_code == status
        assert client.post("/form", data=form, files={"x": b""}).status_code == status  # multipart
        assert client.post("/file", data={"csrf": token}, files=file).status_code == status
        assert client.post("/own-form", data=form, files=file).status_code == status
        header = {"X-CSRF-Token": token.encode()}
        assert client.post("/file", files=file, headers=header).status_code == status
        assert client.post("/raw", content=b"12", headers=header).status_code == status
    assert client.post("/raw", content=b"12").status_code == 403
    assert client.post("/form", data={"text": "hello"}).status_code == 403


def test_the_file_of_a_form_is_whole(app: FastAPI, station: Station) -> None:
    cookie, csrf = add_login(station.database, "operator")
    client = TestClient(app, cookies={"flawmap_session": cookie})
    large = {"upload": ("a.png", b"x" * 3_000_000, "image/png")}
    assert client.post("/file", data={"csrf": csrf}, files=large).json() == 3_000_000


def test_another_persons_token_does_not_do(app: FastAPI, station: Station) -> None:
    cookie, _ = add_login(station.database, "operator", "ann")
    _, csrf = add_login(station.database, "operator", "eve")
    client = TestClient(app, cookies={"flawmap_session": cookie})
    assert client.post("/form", data={"text": "a", "csrf": csrf}).status_code == 403


def test_a_change_in_another_process_is_seen_soon(
    app_client: TestClient, station: Station, tmp_path: Path
) -> None:
    station.callers = FreshCache(seconds=0.3)
    cookie, _ = add_login(station.database, "operator")
    client = TestClient(app_client.app, cookies={"flawmap_session": cookie})
    assert client.get("/").status_code == 200
    other = Database(station.config.url)
    with other.write() as session:
        session.execute(update(User).values(disabled_at=1))
    other.close()
    time.sleep(0.31)
    assert client.get("/").status_code == 401


def test_a_known_caller_costs_little(app: FastAPI, station: Station) -> None:
    """Far less than 1 ms a request; the bound is wide because the machine is shared."""
    key = add_key(station, "inspect")
    headers = [(b"authorization", f"Bearer {key}".encode())]
    request = Request({"type": "http", "method": "POST", "headers": headers, "app": app})

    async def seconds() -> float:
        await known_caller(request, station)
        begun = time.perf_counter()
        for _ in range(1000):
            assert await known_caller(request, station) is not None
        return (time.perf_counter() - begun) / 1000

    assert run_apart(seconds()) < 0.0005


def test_a_stranger_never_reaches_the_database_twice(station: Station) -> None:
    """Requests without a cookie or key are refused without a look into the database."""
    request = Request({"type": "http", "method": "GET", "headers": []})
    station.database.close()
    assert run_apart(known_caller(request, station)) is None
