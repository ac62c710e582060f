"""The list of parts: what a search finds, page by page, and its address."""

from __future__ import annotations

import functools
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import func, select

from flawmap.station.context import Station
from flawmap.station.database.tables import Part, Review
from flawmap.station.database.tables.base import now
from flawmap.station.parts.find import count_parts, find_parts
from flawmap.station.web.parts import listing
from flawmap.station.web.parts.listing import PAGE
from flawmap.station.web.parts.search import PartSearch, chips, wanted_parts
from station.conftest import ClientAs
from station.filling import add_user, fill


@pytest.fixture
def filled(station: Station) -> Station:
    fill(station.database, 200)
    fill(station.database, 40, product="other", seed=3)
    with station.database.write() as session:
        user = add_user(station.database, "maria", "operator")
        for part in session.scalars(select(Part).where(Part.id.in_((5, 6)))):
            part.decision, part.decided_by = "reject", user
            acted = Review(part_id=part.id, user_id=user, created_at=now(), action="decide")
            session.add(acted)
    return station


@pytest.mark.parametrize(
    ("query", "holds"),
    [
        ({"verdict": ["reject"]}, Part.verdict == "reject"),
        ({"verdict": ["review", "error"]}, Part.verdict.is_(None) | (Part.verdict == "review")),
        ({"decision": "open"}, Part.decision.is_(None)),
        ({"decision": "reject", "reviewer": "maria"}, Part.id.in_((5, 6))),
        ({"reviewer": "nobody"}, Part.id < 0),
        ({"number": "SN-1-00000"}, Part.number.like("SN-1-00000%")),
        ({"number": "SN-1-%"}, Part.id < 0),
        ({"line": "line 2"}, Part.line == "line 2"),
        ({"product": "other"}, Part.product_id == 2),
        ({"product": "none"}, Part.id < 0),
        ({"within": "1h"}, Part.id > 0),
        ({"within": "1h", "until": "2001-01-02T00:00:00Z"}, Part.id < 0),
        ({"since": "1901-01-01T00:00:00Z"}, Part.id > 0),
        ({"image": f"{7:064x}"}, Part.id.in_((8, 208))),
        ({"since": "2001-01-01T00:00:00Z", "until": "2001-01-02T00:00:00Z"}, Part.id < 0),
        ({"score_from": "0.2", "score_to": "0.3"}, Part.score.between(0.2, 0.3)),
        ({"area_from": 1000}, Part.largest_area >= 1000),
        ({"verdict": "", "number": " ", "score_from": ""}, Part.id > 0),
    ],
)
def test_a_search_finds_what_it_says(
    filled: Station, query: dict[str, object], holds: object
) -> None:
    search = PartSearch.model_validate(query)
    with filled.database.read() as session:
        found = [
            part.id for part in find_parts(session, wanted_parts(session, search), None, 300).parts
        ]
        expected = session.scalars(select(Part.id).where(holds)).all()  # type: ignore[arg-type]
    assert sorted(found) == sorted(expected)
    assert len(found) == len(set(found))


def test_pages_follow_one_another_in_the_address(filled: Station, client_as: ClientAs) -> None:
    client = client_as("operator")
    first = client.get("/parts?line=line 1&product=board").text
    assert first.count("data-part=") == PAGE
    more = re.search(r'hx-get="([^"]+)"', first)
    assert more is not None
    address = more[1].replace("&amp;", "&")
    second = client.get(address, headers={"HX-Request": "true"}).text
    assert second.count("data-part=") == PAGE
    assert "<html" not in second
    assert not set(re.findall('data-part="[0-9]+"', first)) & set(
        re.findall('data-part="[0-9]+"', second)
    )


def test_a_chip_removes_its_filter_only() -> None:
    since = datetime(2026, 1, 2, tzinfo=UTC)
    search = PartSearch(verdict=("good", "error"), line="a&b", since=since, score_from=0.0)
    found = {chip.text: chip.without for chip in chips(search)}
    assert found["good"] == "verdict=error&line=a%26b&since=2026-01-02T00%3A00%3A00Z&score_from=0.0"
    assert "line" not in found["line a&b"]
    assert "score_from" not in found["score from 0"]


def test_a_page_that_none_gave_says_what_to_do(station: Station, client_as: ClientAs) -> None:
    found = client_as("operator").get("/parts", params={"after": "x"})
    assert found.status_code == 422
    assert "start the search again" in found.text


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", Part.id > 0),
        (
            "verdict=reject&verdict=error&line=line 1",
            Part.verdict.is_(None) | (Part.verdict == "reject"),
        ),
        ("product=other&decision=open&score_from=0.2&within=24h", Part.score >= 0.2),
        ("since=1901-01-01T00:00:00Z&reviewer=maria&number=SN-1&area_from=0", Part.id.in_((5, 6))),
        ("product=board&reviewer=nobody", Part.id < 0),
    ],
)
def test_exports_hold_what_the_page_shows(
    filled: Station, client_as: ClientAs, query: str, expected: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "PAGE", 1000)
    client = client_as("operator")
    page = client.get(f"/parts?{query}").text
    shown = set(re.findall('data-part="([0-9]+)"', page))
    links = re.findall('href="(/api/v1/parts/[^"]+)" download', page)
    with filled.database.read() as session:
        assert shown <= {str(i) for i in session.scalars(select(Part.id).where(expected))}
    if not shown:
        assert not links
        return
    csv, *_, coco = (client.get(one.replace("&amp;", "&")) for one in links)
    assert {line.split(",")[0] for line in csv.text.splitlines()[1:]} == shown
    assert {str(one["id"]) for one in coco.json()["images"]} == shown


def test_parquet_is_offered_where_it_can_be_made(
    filled: Station, client_as: ClientAs, monkeypatch: pytest.MonkeyPatch
) -> None:
    for spec, offered in ((object(), True), (None, False)):
        monkeypatch.setattr(listing, "find_spec", lambda _name, spec=spec: spec)
        assert ("export.parquet" in client_as("operator").get("/parts").text) is offered


def test_the_page_says_how_many_parts_there_are(
    filled: Station, client_as: ClientAs, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_as("operator")
    assert "Export all 240 parts" in client.get("/parts").text
    assert "Export these 2 parts" in client.get("/parts?decision=reject").text
    assert "Export these 1 part<" in client.get("/parts?number=SN-1-0000007").text
    monkeypatch.setattr(listing, "count_parts", functools.partial(count_parts, most=100))
    assert "Export all 100+ parts" in client.get("/parts").text


@pytest.mark.parametrize("view", ["tiles", "table"])
def test_no_result_says_so(filled: Station, client_as: ClientAs, view: str) -> None:
    with filled.database.read() as session:
        assert session.scalar(select(func.count()).select_from(Part)) == 240
    text = client_as("operator").get(f"/parts?number=nothing&view={view}").text
    assert "No part matches these filters" in text
