"""What holds for every request and answer."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import Request
from fastapi.responses import StreamingResponse
from fastapi.testclient import TestClient

from flawmap.station.app import create_app
from flawmap.station.config import StationConfig
from flawmap.station.context import Station
from flawmap.station.database.tables import User
from flawmap.station.security.requests import host_is_allowed, warnings_for
from flawmap.station.security.shield import HEADERS, SMALL
from station.apart import run_apart
from station.conftest import ClientAs
from station.filling import add_login
from station.people import PASSWORD, add_person


def config(**settings: object) -> StationConfig:
    return StationConfig(data=Path("unused"), **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("path", ["/", "/login", "/nowhere", "/openapi.json", "/static/nothing"])
def test_every_answer_has_the_headers(app_client: TestClient, path: str) -> None:
    answer = app_client.get(path)
    for name, value in HEADERS.items():
        assert answer.headers[name] == value
    assert "cache-control" in answer.headers


def test_pages_are_not_stored(client_as: ClientAs) -> None:
    for path in ("/", "/people", "/audit", "/api/v1/users", "/docs"):
        assert client_as("administrator").get(path).headers["cache-control"] == "no-store"


def test_no_page_has_inline_code(client_as: ClientAs) -> None:
    for path in ("/", "/people", "/people/keys", "/account", "/audit", "/docs"):
        text = client_as("administrator").get(path).text
        assert "<script>" not in text
        assert " style=" not in text
        assert " onclick=" not in text


@pytest.mark.parametrize(
    ("settings", "host", "allowed"),
    [
        ({}, "localhost:8420", True),
        ({}, "127.0.0.1", True),
        ({}, "[::1]:8420", True),
        ({}, "evil.example", False),
        ({}, "192.0.2.7", False),
        ({}, "", False),
        ({}, "localhost/evil", False),
        ({}, "evil.example@localhost", False),
        ({}, "[::1", False),
        ({"host": "192.0.2.7"}, "192.0.2.7:8420", True),
        ({"host": "192.0.2.7"}, "192.0.2.8:8420", False),
        ({"host": "0.0.0.0"}, "192.0.2.7:8420", True),
        ({"host": "0.0.0.0"}, "evil.example", False),
        ({"allow_hosts": ("Line3.example",)}, "line3.example", True),
        ({"allow_hosts": ("line3.example",)}, "x.line3.example", False),
        ({"proxy": True}, "anything.example", True),
        ({"proxy": True, "allow_hosts": ("line3.example",)}, "anything.example", False),
    ],
)
def test_only_known_hosts(settings: dict[str, object], host: str, allowed: bool) -> None:
    assert host_is_allowed(config(**settings), host) is allowed


def test_a_foreign_host_gets_nothing(app_client: TestClient) -> None:
    answer = app_client.get("/login", headers={"host": "evil.example"})
    assert answer.status_code == 400
    assert "--allow-host" in answer.json()["detail"]


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://testserver.evil", "x"])
def test_a_foreign_site_changes_nothing(
    app_client: TestClient, station: Station, origin: str
) -> None:
    add_person(station, "ann", "operator")
    form = {"name": "ann", "password": PASSWORD}
    answer = app_client.post("/login", data=form, headers={"origin": origin})
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    own = {"origin": "http://testserver"}
    assert app_client.post("/login", data=form, headers=own).status_code == 200


def test_large_bodies_are_refused_before_they_are_read(
    app_client: TestClient, client_as: ClientAs
) -> None:
    large = b"x" * (SMALL + 1)
    assert app_client.post("/login", content=large).status_code == 413
    image = {"content-type": "image/png"}
    assert app_client.post("/login", content=large, headers=image).status_code == 401  # a stranger
    known = client_as("operator")
    json = {"content-type": "application/json"}
    assert known.put("/api/v1/account/password", content=large, headers=json).status_code == 413
    tooth = {"content-length": "99999999999999999999999", "content-type": "image/png"}
    assert known.post("/login", content=b"x", headers=tooth).status_code == 413
    assert known.post("/login", content=b"x", headers={"content-length": "-1"}).status_code == 400


def test_a_body_without_an_end_is_cut_off(app_client: TestClient, station: Station) -> None:
    cookie, csrf = add_login(station.database, "operator")
    headers = {
        "host": "testserver",
        "content-type": "application/json",
        "transfer-encoding": "chunked",
        "cookie": f"flawmap_session={cookie}",
        "x-csrf-token": csrf,
    }
    pieces, sent = 0, []

    async def receive() -> dict[str, object]:
        nonlocal pieces
        pieces += 1
        return {"type": "http.request", "body": b"x" * 100_000, "more_body": True}

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "PUT",
        "path": "/api/v1/account/password",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": ("192.0.2.1", 1),
    }
    run_apart(app_client.app(scope, receive, send))  # type: ignore[arg-type]
    assert sent[0]["status"] == 413
    assert pieces == SMALL // 100_000 + 1


@pytest.fixture
def broken(tmp_path: Path) -> Iterator[TestClient]:
    """A station with routes that fail."""
    app = create_app(StationConfig(data=tmp_path / "station"))

    @app.get("/broken")
    def fail() -> None:
        raise KeyError("a secret")

    @app.get("/half")
    def half() -> StreamingResponse:
        def pieces() -> Iterator[bytes]:
            yield b"half"
            raise KeyError("a secret")

        return StreamingResponse(pieces())

    @app.get("/large/{number}")
    def large(number: int, request: Request) -> None:
        with app.state.station.database.read() as session:
            session.get(User, number)

    with TestClient(app) as client:
        yield client


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
def test_a_mistake_shows_its_number_only(
    broken: TestClient, accept: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        answer = broken.get("/broken", headers={"accept": accept})
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    assert answer.headers["content-security-policy"] == HEADERS["Content-Security-Policy"]
    number = answer.text.split("under error ")[1][:8]
    assert f"error {number}: GET /broken failed" in caplog.text
    assert "a secret" in caplog.text


def test_half_an_answer_breaks_off(broken: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR), pytest.raises(KeyError, match="a secret"):
        broken.get("/half")  # the connection ends; the test client shows why
    assert "GET /half failed" in caplog.text


def test_a_number_that_no_database_holds(broken: TestClient) -> None:
    assert broken.get(f"/large/{2**70}").status_code == 422


def test_what_was_sent_wrongly_is_not_repeated(client_as: ClientAs) -> None:
    json = {"content-type": "application/json"}
    for body in (
        b'{"old": NaN, "new": 1}',
        b'{"old": "\\ud800", "new": "x"}',
        b'{"old": ["hunter2"]}',
        b"{",
        b"\xff\xfe",
        b"[" * 100_000,
    ):
        answer = client_as("operator").put("/api/v1/account/password", content=body, headers=json)
        assert answer.status_code in (400, 422)
        assert isinstance(answer.json()["detail"], str)
        assert "hunter2" not in answer.text


def test_a_proxy_is_believed_only_where_there_is_one(tmp_path: Path) -> None:
    said = {
        "x-forwarded-for": "203.0.113.9, 198.51.100.7",
        "x-forwarded-proto": "https",
        "x-forwarded-host": "line3.example",
    }
    for proxy, client_host, scheme, host in (
        (True, "198.51.100.7", "https", "line3.example"),
        (False, "testclient", "http", "testserver"),
    ):
        settings = StationConfig(data=tmp_path / str(proxy), proxy=proxy)
        app = create_app(settings)

        @app.get("/who")
        def who(request: Request) -> list[str]:
            assert request.client is not None
            return [request.client.host, request.url.scheme, request.headers["host"]]

        with TestClient(app) as client:
            assert client.get("/who", headers=said).json() == [client_host, scheme, host]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, []),
        ({"host": "::1"}, []),
        ({"host": "0.0.0.0"}, ["unencrypted"]),
        ({"proxy": True}, ["--allow-host"]),
        ({"host": "0.0.0.0", "proxy": True}, ["claim any address", "--allow-host"]),
        ({"proxy": True, "allow_hosts": ("a.example",)}, []),
    ],
)
def test_what_is_unsafe_is_said(settings: dict[str, object], words: list[str]) -> None:
    said = warnings_for(config(**settings))
    assert len(said) == len(words)
    assert all(word in sentence for word, sentence in zip(words, said, strict=True))
