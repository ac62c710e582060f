"""A person's own account, and the audit log."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from flawmap.station.context import Station
from flawmap.station.security.audit import record
from station.conftest import ClientAs
from station.people import PASSWORD, add_person, csrf_of, log_in

ACCOUNT = "/api/v1/account"


@pytest.fixture
def ann(app_client: TestClient, station: Station) -> TestClient:
    """Ann, logged in, with the CSRF token."""
    add_person(station, "ann", "operator")
    log_in(app_client, "ann")
    app_client.headers["X-CSRF-Token"] = csrf_of(app_client)
    return app_client


def test_a_person_changes_the_password(ann: TestClient) -> None:
    elsewhere = TestClient(ann.app)
    log_in(elsewhere, "ann")
    change = {"old": PASSWORD, "new": "a fresh pass phrase"}
    assert ann.put(f"{ACCOUNT}/password", json=change).status_code == 204
    assert ann.get("/").status_code == 200
    assert elsewhere.get("/").status_code == 401
    assert log_in(elsewhere, "ann") == 401
    assert log_in(elsewhere, "ann", "a fresh pass phrase") == 303


def test_a_wrong_change_is_refused(ann: TestClient) -> None:
    for old, new, status in (("wrong", "a fresh pass phrase", 403), (PASSWORD, "short", 422)):
        answer = ann.put(f"{ACCOUNT}/password", json={"old": old, "new": new})
        assert answer.status_code == status
    form = {"old": PASSWORD, "new": "a fresh pass phrase", "again": "something else"}
    assert "differ" in ann.post("/account/password", data=form).text
    done = ann.post("/account/password", data=form | {"again": form["new"]})
    assert "is changed" in done.text


def test_guesses_of_the_present_password_are_limited(ann: TestClient) -> None:
    guess = {"old": "wrong", "new": "a fresh pass phrase"}
    answers = [ann.put(f"{ACCOUNT}/password", json=guess).status_code for _ in range(7)]
    assert 429 in answers


def test_a_person_ends_sessions(ann: TestClient, station: Station) -> None:
    other = TestClient(ann.app, headers={"user-agent": "tablet <script>"})
    log_in(other, "ann")
    add_person(station, "bo", "operator")
    stranger = TestClient(ann.app)
    log_in(stranger, "bo")
    listed = ann.get(f"{ACCOUNT}/sessions").json()
    assert [one["is_this"] for one in listed] == [False, True]
    assert "tablet &lt;script&gt;" in ann.get("/account").text
    theirs = stranger.get(f"{ACCOUNT}/sessions").json()[0]["id"]
    assert ann.delete(f"{ACCOUNT}/sessions/{theirs}").status_code == 404
    assert ann.delete(f"{ACCOUNT}/sessions/{listed[0]['id']}").status_code == 204
    assert other.get("/").status_code == 401
    assert stranger.get("/").status_code == 200
    mine = {"csrf": ann.headers["X-CSRF-Token"]}
    ann.post(f"/account/sessions/{listed[1]['id']}/end", data=mine)
    assert ann.get("/").status_code == 401


def test_the_audit_log_is_searched_and_paged(client_as: ClientAs, station: Station) -> None:
    with station.database.write() as session:
        for i in range(250):
            record(session, None, "threshold.apply", f"board {i}", before=i, after="<b>")
        record(session, None, "user.create", "100%_sure")
    client = client_as("administrator")
    first = client.get("/api/v1/audit").json()
    assert first["entries"][0]["subject"] == "100%_sure"
    seen = list(first["entries"])
    while first["next"]:
        first = client.get("/api/v1/audit", params={"before": first["next"]}).json()
        seen += first["entries"]
    assert [one["id"] for one in seen] == list(range(251, 0, -1))
    for text, count in (("%_", 1), ("BOARD 24", 11), ("nothing", 0)):
        found = client.get("/api/v1/audit", params={"text": text}).json()["entries"]
        assert len(found) == count
    page = client.get("/audit?text=board").text
    assert "after: &lt;b&gt;" in page
    assert "/audit?text=board&amp;before=" in page
