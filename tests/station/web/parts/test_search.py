"""The list of parts: what a search finds, page by page, and its address."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from sqlalchemy import func, select

from flawmap.station.context import Station
from flawmap.station.database.tables import Part
from flawmap.station.web.parts.search import PAGE, PartSearch, chips, find_parts, place
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
        ({"since": "2001-01-01T00:00:00Z", "until": "2001-01-02T00:00:00Z"}, Part.id < 0),
        ({"score_from": "0.2", "score_to": "0.3"}, Part.score.between(0.2, 0.3)),
        ({"area_from": 1000}, Part.largest_area >= 1000),
        ({"verdict": "", "number": " ", "score_from": ""}, Part.id > 0),
    ],
)
def test_a_search_finds_what_it_says(
    filled: Station, query: dict[str, object], holds: object
) -> None:
    search, found, after = PartSearch.model_validate(query), [], ""
    with filled.database.read() as session:
        while page := find_parts(session, search, after)[:PAGE]:
            found += [part.id for part in page]
            after = place(page[-1])
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


@pytest.mark.parametrize("after", ["x", "1", "1.x", f"{10**30}.1", "-1.2"])
def test_a_place_that_is_none_shows_nothing(
    filled: Station, client_as: ClientAs, after: str
) -> None:
    found = client_as("operator").get("/parts", params={"after": after})
    assert found.status_code == 200
    assert "data-part=" not in found.text


@pytest.mark.parametrize("view", ["tiles", "table"])
def test_no_result_says_so(filled: Station, client_as: ClientAs, view: str) -> None:
    with filled.database.read() as session:
        assert session.scalar(select(func.count()).select_from(Part)) == 240
    text = client_as("operator").get(f"/parts?number=nothing&view={view}").text
    assert "No part matches these filters" in text
