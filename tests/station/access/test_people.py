"""People, by the page and by the API."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from flawmap.station.context import Station
from flawmap.station.database.tables import AuditEntry, User
from station.conftest import ClientAs
from station.people import PASSWORD, add_key, add_person, csrf_of, log_in

USERS = "/api/v1/users"


def test_an_administrator_adds_people(client_as: ClientAs, app_client: TestClient) -> None:
    administrator = client_as("administrator")
    answer = administrator.post(USERS, json={"name": "Bo", "role": "engineer"})
    assert answer.status_code == 201
    assert answer.json()["user"]["has_password"] is False
    assert log_in(app_client, "Bo", "") == 401
    link = answer.json()["link"]
    assert "Set a password for Bo" in app_client.get(link).text
    form = {"password": PASSWORD, "again": PASSWORD}
    assert app_client.post(link, data=form, follow_redirects=False).status_code == 303
    assert app_client.get("/").status_code == 200
    assert app_client.get("/people").status_code == 403
    assert app_client.post(link, data=form).status_code == 404
    listed = {one["name"]: one for one in administrator.get(USERS).json()}
    assert listed["Bo"]["has_password"] is True


def test_the_page_adds_people(client_as: ClientAs) -> None:
    administrator = client_as("administrator")
    form = {"name": "Bö <b>", "role": "operator", "csrf": csrf_of(administrator)}
    shown = administrator.post("/people", data=form).text
    assert "/password/" in shown
    assert "Bö &lt;b&gt;" in shown
    assert "<b>" not in shown.split("Link for")[1].split("</b>")[0]
    again = administrator.post("/people", data=form | {"name": "BÖ <B>".lower()})
    assert again.status_code == 409
    assert "already" in again.text


@pytest.mark.parametrize(
    "body",
    [
        {"name": "", "role": "operator"},
        {"name": "x" * 61, "role": "operator"},
        {"name": "a\nb\x07", "role": "operator"},
        {"name": "ann", "role": "king"},
        {"name": "ann"},
        {"name": ["ann"], "role": "operator"},
    ],
)
def test_a_wrong_user_is_refused(client_as: ClientAs, body: dict[str, object]) -> None:
    answer = client_as("administrator").post(USERS, json=body)
    assert answer.status_code == 422
    assert isinstance(answer.json()["detail"], str)


def test_the_last_administrator_stays(client_as: ClientAs, station: Station) -> None:
    only = add_person(station, "administrator", "administrator")
    client = client_as("administrator")
    for request in (
        client.post(f"{USERS}/{only}/disable"),
        client.put(f"{USERS}/{only}/role", json={"role": "engineer"}),
        client.post(f"/people/{only}/disable"),
        client.post(f"/people/{only}/role", data={"role": "operator"}),
    ):
        assert request.status_code == 409
        assert "only administrator" in request.text
    add_person(station, "second", "administrator")
    assert client.put(f"{USERS}/{only}/role", json={"role": "engineer"}).status_code == 200


def test_an_invited_administrator_is_not_one_yet(client_as: ClientAs, station: Station) -> None:
    only = add_person(station, "administrator", "administrator")
    client = client_as("administrator")
    client.post(USERS, json={"name": "invited", "role": "administrator"})
    assert client.post(f"{USERS}/{only}/disable").status_code == 409


def test_a_disabled_person_is_out_at_once(
    client_as: ClientAs, station: Station, app_client: TestClient
) -> None:
    ann = add_person(station, "ann", "engineer")
    log_in(app_client, "ann")
    with_key = TestClient(app_client.app, headers={"Authorization": f"Bearer {add_key(station)}"})
    assert app_client.get("/").status_code == 200
    administrator = client_as("administrator")
    assert administrator.post(f"{USERS}/{ann}/disable").json()["disabled_at"] is not None
    assert app_client.get("/").status_code == 401
    assert log_in(app_client, "ann") == 401
    administrator.post(f"{USERS}/{ann}/enable")
    assert app_client.get("/").status_code == 401  # the old session stays ended
    assert log_in(app_client, "ann") == 303
    assert with_key.get("/api/v1/account").status_code == 403  # no scope, but known


def test_a_new_role_counts_at_once(
    client_as: ClientAs, station: Station, app_client: TestClient
) -> None:
    ann = add_person(station, "ann", "operator")
    log_in(app_client, "ann")
    assert app_client.get("/audit").status_code == 403
    client_as("administrator").post(f"/people/{ann}/role", data={"role": "administrator"})
    assert app_client.get("/audit").status_code == 200


def test_a_reset_ends_the_old_password(
    client_as: ClientAs, station: Station, app_client: TestClient
) -> None:
    ann = add_person(station, "ann", "operator")
    old = TestClient(app_client.app)
    log_in(old, "ann")
    administrator = client_as("administrator")
    first = administrator.post(f"{USERS}/{ann}/password-link").json()["link"]
    link = administrator.post(f"{USERS}/{ann}/password-link").json()["link"]
    assert app_client.get(first).status_code == 404
    assert log_in(app_client, "ann") == 303  # until the link is used
    app_client.post(link, data={"password": "another phrase", "again": "another phrase"})
    assert old.get("/").status_code == 401
    assert log_in(app_client, "ann") == 401
    assert log_in(app_client, "ann", "another phrase") == 303


def test_nobody_changes_who_is_not_there(client_as: ClientAs) -> None:
    client = client_as("administrator")
    assert client.post(f"{USERS}/77/disable").status_code == 404
    assert client.post("/people/77/enable").status_code == 404
    assert client.post(f"{USERS}/{2**63}/disable").status_code == 422


def test_each_change_is_in_the_audit_log(client_as: ClientAs, station: Station) -> None:
    client = client_as("administrator")
    user = client.post(USERS, json={"name": "bo", "role": "operator"}).json()["user"]["id"]
    client.put(f"{USERS}/{user}/role", json={"role": "engineer"})
    client.post(f"{USERS}/{user}/password-link")
    client.post(f"{USERS}/{user}/disable")
    client.post(f"{USERS}/{user}/enable")
    with station.database.read() as session:
        actor = session.scalars(select(User.id).where(User.name == "administrator")).one()
        entries = session.scalars(select(AuditEntry).order_by(AuditEntry.id)).all()
    assert [one.action for one in entries] == [
        "user.create",
        "user.role",
        "user.password-link",
        "user.disable",
        "user.enable",
    ]
    assert {one.user_id for one in entries} == {actor}
    assert entries[1].details == {"before": "operator", "after": "engineer"}
