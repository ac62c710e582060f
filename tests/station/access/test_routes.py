"""Every route times everybody who might call it: each lets in whom it declares, and nobody else."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from flawmap.station.context import Station
from flawmap.station.security.callers import Admission
from flawmap.station.security.roles import ROLES, SCOPES, Role, includes
from flawmap.station.web.access.admissions import route_admissions
from station.filling import add_login
from station.people import add_key

PUBLIC = {
    ("GET", "/login"),
    ("POST", "/login"),
    ("GET", "/setup/{token}"),
    ("POST", "/setup/{token}"),
    ("GET", "/password/{token}"),
    ("POST", "/password/{token}"),
    ("GET", "/static/{name:path}"),
    ("GET", "/openapi.json"),
    ("HEAD", "/openapi.json"),
    ("GET", "/healthz"),  # whether the process runs
    ("GET", "/readyz"),  # whether it would inspect, and how many inspectors are broken
    ("GET", "/v2/health/live"),  # whether the process runs
    ("GET", "/v2/health/ready"),  # whether it would inspect
}
"""Routes for everybody. A new one needs a reason: what can somebody without a login do with it?"""
_SAFE = ("GET", "HEAD", "OPTIONS")
_REFUSALS = ("This needs", "Only people", "The page has expired")


@pytest.fixture
def app(app_client: TestClient, station: Station) -> FastAPI:
    """The whole application; its streams of events end at once."""
    station.events.close()
    app = app_client.app
    assert isinstance(app, FastAPI)
    return app


def test_each_route_says_whom_it_admits(app: FastAPI) -> None:
    admitted = route_admissions(app)
    assert {route for route, admission in admitted.items() if admission is None} == PUBLIC
    assert len(admitted) > 30


def test_strangers_get_in_nowhere(app: FastAPI) -> None:
    client = TestClient(app)
    for (method, path), _ in protected(app):
        assert status(client, method, path) == "log in", (method, path)


def test_each_role_gets_where_it_may(app: FastAPI, station: Station) -> None:
    wrong = []
    for (method, path), admission in protected(app):
        for role in ROLES:
            expected = "admitted" if includes(role, admission.role) else "refused"
            found = status(logged_in(app, station, role), method, path)
            if found != expected:
                wrong.append((method, path, role, found))
    assert not wrong


def test_nothing_is_changed_without_the_token(app: FastAPI, station: Station) -> None:
    client = logged_in(app, station, "administrator", csrf=False)
    wrong = []
    for (method, path), _ in protected(app):
        expected = "admitted" if method in _SAFE else "refused"
        if (found := status(client, method, path)) != expected:
            wrong.append((method, path, found))
    assert not wrong


def test_keys_may_do_by_the_api_what_their_scopes_say(app: FastAPI) -> None:
    by_api = {route: who for route, who in protected(app) if route[1].startswith("/api/")}
    assert {who.scope for who in by_api.values()} == {*SCOPES, None}
    engineers = {route: who.scope for route, who in by_api.items() if who.role == "engineer"}
    assert engineers == dict.fromkeys(engineers, "manage")


@pytest.mark.parametrize("scope", [*SCOPES, None])
@pytest.mark.parametrize("role", ["administrator", "operator"])
def test_each_key_gets_where_its_scope_leads(
    app: FastAPI, station: Station, scope: str | None, role: Role
) -> None:
    key = add_key(station, *([scope] if scope else []), role=role)  # type: ignore[list-item]
    client = TestClient(app, headers={"Authorization": f"Bearer {key}"})
    wrong = []
    for (method, path), admission in protected(app):
        may = scope is not None and admission.scope == scope and includes(role, admission.role)
        if (found := status(client, method, path)) != ("admitted" if may else "refused"):
            wrong.append((method, path, found))
    assert not wrong


@pytest.mark.parametrize(
    "value",
    [
        "..%2f..%2f..%2fetc%2fpasswd",
        pytest.param("..%5c..%5cwindows%5cwin.ini", marks=pytest.mark.long),
        "%2e%2e%2f%2e%2e%2fstation.sqlite",
        "%00",
        pytest.param("a%00.png", marks=pytest.mark.long),
        "%0d%0aSet-Cookie:%20a=b",
        "%ff%fe",
        pytest.param("x" * 5000, marks=pytest.mark.long),
        pytest.param("-1", marks=pytest.mark.long),
        pytest.param("0", marks=pytest.mark.long),
        str(2**63),
        pytest.param(str(2**200), marks=pytest.mark.long),
        pytest.param("1e5", marks=pytest.mark.long),
        pytest.param("NaN", marks=pytest.mark.long),
        pytest.param("%F0%9F%98%80", marks=pytest.mark.long),
        pytest.param("con", marks=pytest.mark.long),
        pytest.param("C:%5c", marks=pytest.mark.long),
        pytest.param("%7B%7B7*7%7D%7D", marks=pytest.mark.long),
        pytest.param("';drop%20table%20users;--", marks=pytest.mark.long),
    ],
)
def test_no_path_leads_out_or_breaks(app: FastAPI, station: Station, value: str) -> None:
    client, wrong = logged_in(app, station, "administrator"), []
    for (method, path), _ in protected(app):
        if "{" not in path and method != "GET":
            continue
        address = re.sub(r"\{[^}]*\}", lambda _: value, path)
        answer = client.request(
            method, f"{address}?text={value}&id={value}", follow_redirects=False
        )
        text = answer.text
        if answer.status_code >= 500 or "root:x" in text or "SQLite format" in text:
            wrong.append((method, path, answer.status_code))
        assert "Traceback" not in text
        assert "a=b" not in answer.headers.get("set-cookie", "")
    for path in (f"/static/{value}", f"/setup/{value}", f"/password/{value}", f"/{value}"):
        answer = client.get(path, follow_redirects=False)
        if answer.status_code not in (400, 404, 422):
            wrong.append(("GET", path, answer.status_code))
    assert not wrong


def protected(app: FastAPI) -> Iterator[tuple[tuple[str, str], Admission]]:
    """Yield each route that is not public, with whom it admits."""
    for route, admission in sorted(route_admissions(app).items()):
        if route not in PUBLIC:
            assert admission is not None, f"{route} admits everybody, and is not in PUBLIC"
            yield route, admission


def logged_in(app: FastAPI, station: Station, role: Role, *, csrf: bool = True) -> TestClient:
    """A client with a login of its own, for a route may end it."""
    cookie, token = add_login(station.database, role)
    headers = {"X-CSRF-Token": token} if csrf else {}
    return TestClient(app, headers=headers, cookies={"flawmap_session": cookie})


def status(client: TestClient, method: str, path: str) -> str:
    """How a route treats a caller, with ids that do not exist."""
    address = re.sub(r"\{[^}]*\}", lambda _: "987654321", path)
    answer = client.request(method, address, follow_redirects=False)
    assert answer.status_code < 500 or answer.status_code == 503, (method, path, answer.text)
    if answer.status_code == 401:
        return "log in"
    has_reason = method == "HEAD" or any(word in answer.text for word in _REFUSALS)
    return "refused" if answer.status_code == 403 and has_reason else "admitted"
