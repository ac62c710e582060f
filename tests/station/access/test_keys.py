"""API keys, by the page and by the API."""

from __future__ import annotations

from fastapi.testclient import TestClient
from sqlalchemy import select, update

from flawmap.station.context import Station
from flawmap.station.database.tables import ApiKey, User
from station.conftest import ClientAs
from station.people import add_key, csrf_of

KEYS = "/api/v1/keys"


def with_key(app_client: TestClient, key: str) -> TestClient:
    return TestClient(app_client.app, headers={"Authorization": f"Bearer {key}"})


def test_a_key_is_made_used_and_revoked(
    client_as: ClientAs, app_client: TestClient, station: Station
) -> None:
    administrator = client_as("administrator")
    made = administrator.post(KEYS, json={"name": "line 1", "scopes": ["read", "inspect"]})
    assert made.status_code == 201
    key = made.json()["key"]
    assert key["scopes"] == ["inspect", "read"]
    assert made.json()["secret"].startswith(key["prefix"])
    program = with_key(app_client, made.json()["secret"])
    assert program.get("/api/v1/account").json()["scopes"] == ["inspect", "read"]
    listed = administrator.get(KEYS)
    assert made.json()["secret"] not in listed.text
    assert listed.json()[0]["used_at"] is not None
    administrator.post(f"{KEYS}/{key['id']}/revoke")
    assert program.get("/api/v1/account").status_code == 401
    with station.database.read() as session:
        assert session.scalars(select(ApiKey.digest)).one() != made.json()["secret"]


def test_the_page_shows_a_key_once(client_as: ClientAs, app_client: TestClient) -> None:
    administrator = client_as("administrator")
    form = {"name": "press 4", "scopes": ["read", "manage"], "days": "0"}
    shown = administrator.post("/people/keys", data=form | {"csrf": csrf_of(administrator)}).text
    secret = shown.split('id="secret" tabindex="0">')[1].split("<")[0]
    assert with_key(app_client, secret).get("/api/v1/account").status_code == 200
    page = administrator.get("/people/keys").text
    assert "press 4" in page
    assert secret not in page
    assert administrator.post("/people/keys", data={"name": "none"}).status_code == 422


def test_a_key_ends(client_as: ClientAs, app_client: TestClient, station: Station) -> None:
    answer = client_as("administrator").post(KEYS, json={"name": "a", "scopes": ["read"]}).json()
    assert answer["key"]["expires_at"] > answer["key"]["created_at"]
    with station.database.write() as session:
        session.execute(update(ApiKey).values(expires_at=1))
    assert with_key(app_client, answer["secret"]).get("/api/v1/account").status_code == 401


def test_a_key_does_no_more_than_its_maker(app_client: TestClient, station: Station) -> None:
    program = with_key(app_client, add_key(station, "read"))
    assert program.get("/api/v1/account").status_code == 200
    assert program.get("/api/v1/users").status_code == 403  # people only
    with station.database.write() as session:
        session.execute(update(User).values(disabled_at=1))
    station.callers.clear()
    assert program.get("/api/v1/account").status_code == 401


def test_a_wrong_key_is_refused(app_client: TestClient) -> None:
    for header in ("Bearer ", "Bearer x", "bearer \u00e9", "Basic YTpi", "Bearer " + "x" * 5000):
        answer = app_client.get("/api/v1/account", headers={"Authorization": header.encode()})
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"


def test_a_key_is_no_cookie(app_client: TestClient, station: Station) -> None:
    key = add_key(station, "read")
    assert app_client.get("/", cookies={"flawmap_session": key}).status_code == 401
