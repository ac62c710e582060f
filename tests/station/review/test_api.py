"""The API of reviews, as a page uses it."""

from __future__ import annotations

from typing import Any

from fastapi.testclient import TestClient

from flawmap.station.context import Station
from flawmap.station.database.tables import AuditEntry, Part
from station.conftest import ClientAs
from station.filling import fill
from station.reviewing import fill_with_images

SQUARE = {
    "type": "dent",
    "shape": "polygon",
    "geometry": {"points": [[1, 1], [20, 1], [20, 20], [1, 20]]},
}


def _next(client: TestClient, **wanted: Any) -> dict[str, Any]:
    answer = client.post("/api/v1/reviews/next", json=wanted)
    assert answer.status_code == 200, answer.text
    value: dict[str, Any] = answer.json()
    return value


def test_a_part_is_decided_undone_and_its_history_shows_both(
    station: Station, client_as: ClientAs
) -> None:
    fill_with_images(station, 4, flagged=True)
    client = client_as("operator")
    (part,) = _next(client)["parts"]
    assert (part["second"], part["decision"], part["history"]) == (False, None, [])
    done = client.post(
        f"/api/v1/parts/{part['id']}/reviews", json={"decision": "good", "comment": "only dust"}
    ).json()
    assert (done["decision"], done["reviewers"], done["act"]["before"]) == ("good", 1, None)
    progress = _next(client)
    assert (progress["left"], progress["today"]) == (3, 1)
    undone = client.post("/api/v1/reviews/undo", json={}).json()
    assert (undone["part"], undone["decision"]) == (part["id"], None)
    acts = client.get(f"/api/v1/parts/{part['id']}/reviews").json()
    assert [(act["action"], act["user"], act["before"]) for act in acts] == [
        ("decide", "operator", None),
        ("undo", "operator", "good"),
    ]
    assert client.post("/api/v1/reviews/undo", json={}).status_code == 409


def test_two_people_get_different_parts_and_one_takes_over(
    station: Station, client_as: ClientAs
) -> None:
    fill_with_images(station, 4, flagged=True)
    anna, ben = client_as("operator"), client_as("engineer")
    (hers,), (his,) = _next(anna)["parts"], _next(ben)["parts"]
    assert hers["id"] != his["id"]
    held = ben.put("/api/v1/reviews/locks", json={"parts": [hers["id"], 999]}).json()
    assert held == {"held": [], "others": {str(hers["id"]): "operator"}}
    taken = ben.post(f"/api/v1/parts/{hers['id']}/lock").json()
    assert taken == {"part": hers["id"], "taken_from": "operator"}
    held = anna.put("/api/v1/reviews/locks", json={"parts": [hers["id"]]}).json()
    assert held["others"] == {str(hers["id"]): "engineer"}
    assert ben.delete(f"/api/v1/parts/{hers['id']}/lock").status_code == 204
    assert anna.put("/api/v1/reviews/locks", json={"parts": [hers["id"]]}).json()["held"]
    with station.database.read() as session:
        (entry,) = session.query(AuditEntry).filter_by(action="lock.take")
    assert entry.details == {"taken_from": "operator"}


def test_a_second_look_is_blind_until_decided(station: Station, client_as: ClientAs) -> None:
    fill_with_images(station, 1, flagged=True)
    anna, ben = client_as("operator"), client_as("engineer")
    anna.post("/api/v1/parts/1/reviews", json={"decision": "good"})
    assert anna.post("/api/v1/parts/1/defects", json=SQUARE).status_code == 201
    (part,) = _next(ben, second=1.0)["parts"]
    hidden = (part["second"], part["decision"], part["decided_by"], part["history"], part["drawn"])
    assert hidden == (True, None, None, [], [])
    own = ben.post("/api/v1/parts/1/defects", json=SQUARE).json()
    part = ben.get("/api/v1/parts/1/review").json()
    assert (part["second"], part["history"], part["drawn"]) == (True, [], [own])
    ben.post("/api/v1/parts/1/reviews", json={"decision": "reject"})
    part = ben.get("/api/v1/parts/1/review").json()
    assert (part["second"], part["decision"], len(part["history"])) == (False, "reject", 4)
    found = ben.get("/api/v1/reviews/agreement").json()
    assert found["matrix"] == [[0, 1, 0], [0, 0, 0], [0, 0, 0]]
    assert [(pair["first"], pair["second"]) for pair in found["pairs"]] == [
        ("operator", "engineer")
    ]
    assert "operator and engineer" in ben.get("/review/agreement").text


def test_defects_are_drawn_and_removed(station: Station, client_as: ClientAs) -> None:
    fill(station.database, 1)
    client = client_as("operator")
    drawn = client.post("/api/v1/parts/1/defects", json=SQUARE).json()
    assert (drawn["type"], drawn["shape"]) == ("dent", "polygon")
    assert client.get("/api/v1/reviews/types").json() == [{"name": "dent", "count": 1}]
    assert client.get("/api/v1/parts/1/defects").json() == [drawn]
    assert client.delete(f"/api/v1/parts/1/defects/{drawn['id']}").status_code == 204
    assert client.delete(f"/api/v1/parts/1/defects/{drawn['id']}").status_code == 422
    assert client.get("/api/v1/parts/1/defects").json() == []


def test_a_good_part_is_shown_beside(station: Station, client_as: ClientAs) -> None:
    fill_with_images(station, 3, flagged=True)
    with station.database.write() as session:
        session.get_one(Part, 2).verdict = "good"
    client = client_as("operator")
    reference = client.get("/api/v1/parts/1/review").json()["reference"]
    assert (reference["id"], reference["image"]) == (2, "/parts/2/image")
    assert client.get("/api/v1/parts/2/review").json()["reference"] is None


REFUSED = [
    ("POST", "/api/v1/parts/9/reviews", {"decision": "good"}, 404),
    ("POST", "/api/v1/parts/1/reviews", {"decision": "fine"}, 422),
    ("POST", "/api/v1/parts/0/reviews", {"decision": "good"}, 422),
    ("POST", "/api/v1/reviews/next", {"product": "unknown"}, 422),
    ("POST", "/api/v1/reviews/next", {"order": "random"}, 422),
    ("POST", "/api/v1/reviews/next", {"count": 1000}, 422),
    ("POST", "/api/v1/parts/9/lock", None, 404),
    ("GET", "/api/v1/parts/9/review", None, 404),
    ("POST", "/api/v1/parts/9/defects", SQUARE, 404),
    ("POST", f"/api/v1/parts/{2**63}/lock", None, 422),
    ("GET", "/api/v1/reviews/agreement?product=unknown", None, 422),
]


def test_refusals(station: Station, client_as: ClientAs) -> None:
    fill(station.database, 1)
    client = client_as("operator")
    for method, path, body, status in REFUSED:
        answer = client.request(method, path, json=body)
        assert answer.status_code == status, (path, body, answer.text)
        assert answer.json()["detail"]


def test_nobody_reviews_without_a_login(app_client: TestClient) -> None:
    assert app_client.post("/api/v1/reviews/next", json={}).status_code == 401
    assert app_client.get("/review", follow_redirects=False).status_code in (303, 401)
