"""Search and exports over the API, read back by the libraries that people use."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from flawmap.station.context import Station
from flawmap.station.database.tables import DrawnDefect, Part, Review
from flawmap.station.database.tables.base import now
from flawmap.station.parts.export import rows
from flawmap.station.parts.export.coco import FOUND
from station.conftest import ClientAs
from station.filling import add_user, fill
from station.postgres import on_both

PARTS = "/api/v1/parts"


@pytest.fixture
def client(station: Station, client_as: ClientAs, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    """An operator, and 130 parts that exports read in pages of 40."""
    monkeypatch.setattr(rows, "_PAGE", 40)
    fill(station.database, 130)
    return client_as("operator")


@on_both
def test_pages_of_a_search(client: TestClient) -> None:
    seen, after = [], None
    while True:
        given = {"verdict": ["good"], "limit": 50} | ({"after": after} if after else {})
        answer = client.get(PARTS, params=given).json()
        seen += answer["parts"]
        if (after := answer["after"]) is None:
            break
    assert len({part["id"] for part in seen}) == len(seen) > 100
    assert {part["verdict"] for part in seen} == {"good"}
    assert client.get(f"{PARTS}/{seen[0]['id']}").json() == seen[0]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"after": "x"}, "start the search again"),
        ({"field": "shift"}, "field"),
        ({"verdict": "perfect"}, "verdict"),
        ({"limit": 0}, "limit"),
        ({"product": 2**63}, "product"),
    ],
)
def test_a_wrong_search_is_refused(client: TestClient, given, sentence: str) -> None:
    answer = client.get(PARTS, params=given)
    assert answer.status_code == 422
    assert sentence in answer.json()["detail"]


def test_an_unknown_part(client: TestClient) -> None:
    answer = client.get(f"{PARTS}/4711")
    assert (answer.status_code, answer.json()["detail"]) == (404, "There is no part 4711.")


@on_both
def test_csv(client: TestClient, station: Station) -> None:
    with station.database.write() as session:
        part = session.get_one(Part, 7)
        part.number = "=HYPERLINK(1)"
    text = client.get(f"{PARTS}/export.csv", params={"line": "line 1"}).text
    found = list(csv.DictReader(io.StringIO(text)))
    assert [int(row["id"]) for row in found] == list(range(1, 131, 2))
    assert found[3]["number"] == "'=HYPERLINK(1)"
    assert json.loads(found[0]["fields"]) == {"shift": "late"}
    with station.database.read() as session:
        expected = {part.id: part for part in session.scalars(select(Part))}
    for row in found:
        score = expected[int(row["id"])].score
        assert row["score"] == ("" if score is None else repr(score))
        assert row["product"] == "board"


def test_parquet(client: TestClient) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    answer = client.get(f"{PARTS}/export.parquet")
    found = pq.read_table(io.BytesIO(answer.content)).to_pylist()
    assert [row["id"] for row in found] == list(range(1, 131))
    text = client.get(f"{PARTS}/export.csv").text
    for row, line in zip(found, csv.DictReader(io.StringIO(text)), strict=True):
        assert line["score"] == ("" if row["score"] is None else repr(row["score"]))
        assert line["received_at"] == row["received_at"]


@on_both
def test_coco_has_what_people_drew_in_place_of_what_was_found(
    client: TestClient, station: Station
) -> None:
    with station.database.read() as session:
        rejected = session.scalars(select(Part).where(Part.verdict == "reject")).all()
    mask = np.zeros((256, 256), np.uint8)
    mask[10:13, 20:40] = 1
    mask[12, 30] = 0
    draw(station, rejected[0], "scratch", {"points": [[10.5, 20], [30, 20], [30, 44.5]]})
    draw(station, rejected[1], "dent", {"size": [256, 256], "runs": runs(mask)})
    coco = client.get(f"{PARTS}/coco.json").json()
    assert len(coco["images"]) == 130
    names = {one["id"]: one["name"] for one in coco["categories"]}
    by_part = {one["image_id"]: one for one in coco["annotations"]}
    assert len(by_part) == len(coco["annotations"]) == len({a["id"] for a in coco["annotations"]})
    polygon, painted = by_part[rejected[0].id], by_part[rejected[1].id]
    assert names[polygon["category_id"]] == "scratch"
    assert polygon["segmentation"] == [[10.5, 20, 30, 20, 30, 44.5]]
    assert polygon["bbox"] == [10.5, 20, 19.5, 24.5]
    assert names[painted["category_id"]] == "dent"
    assert painted["bbox"] == [20, 10, 20, 3]
    np.testing.assert_array_equal(decoded(painted["segmentation"]), mask)
    assert names[by_part[rejected[2].id]["category_id"]] == FOUND
    assert coco["info"]["parts_without_image_size"] == 0


def test_coco_of_nothing_is_still_json(client: TestClient) -> None:
    coco = client.get(f"{PARTS}/coco.json", params={"source": "none"}).json()
    assert (coco["images"], coco["annotations"]) == ([], [])


def draw(station: Station, part: Part, kind: str, geometry: dict[str, object]) -> None:
    user = add_user(station.database, "drawer", "operator")
    with station.database.write() as session:
        review = Review(part_id=part.id, user_id=user, created_at=now(), action="draw")
        session.add(review)
        session.flush()
        session.add(
            DrawnDefect(
                part_id=part.id, review_id=review.id, type=kind, geometry=geometry, area=9,
                shape="polygon" if "points" in geometry else "mask", created_at=now(),
            )
        )  # fmt: skip


def runs(mask: np.ndarray) -> list[int]:
    """Start and length of each run of ones, along rows."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.ravel(), [0]])))
    return np.stack([edges[::2], edges[1::2] - edges[::2]], 1).ravel().tolist()


def decoded(segmentation: dict[str, list[int]]) -> np.ndarray:
    """The mask of COCO's run lengths, as its own tools decode them."""
    values = np.arange(len(segmentation["counts"])) % 2
    flat = np.repeat(values, segmentation["counts"]).astype(np.uint8)
    return flat.reshape(segmentation["size"], order="F")
