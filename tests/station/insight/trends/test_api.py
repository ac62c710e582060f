"""Trends over the API: each part is counted once, and what reviewers found is told apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select, update

from flawmap.station.context import Station
from flawmap.station.database.tables import DrawnDefect, Part, Review
from flawmap.station.database.tables.base import now
from flawmap.station.insight.errors import ErrorRates
from flawmap.station.insight.ranges import HOUR
from flawmap.station.insight.sampling import in_sample
from flawmap.station.insight.trends.hours import HourCounter
from flawmap.station.security.audit import find_entries
from station.conftest import ClientAs
from station.filling import add_product, add_user, fill
from station.insight.drift.test_watch import add_scores, normal
from station.people import add_key


def count_all(station: Station) -> None:
    """Count as the service does; one that begins anew goes on where the last one ended."""
    counter = HourCounter(station.database)
    while counter.step():
        pass


def spread_digests(station: Station) -> None:
    """Let the images' digests begin with all hex digits, as real ones do."""
    with station.database.write() as session:
        ids = session.scalars(select(Part.id)).all()
        values = [{"id": id, "image": f"{(id * 2654435761) % 2**32:08x}{id:056x}"} for id in ids]
        session.execute(update(Part), values)


@pytest.fixture
def filled(station: Station) -> str:
    """The path of a product with 4,000 parts of two lines in an hour."""
    for name in ("hours", "drift"):
        station.services[name].stop()  # the test counts at its own pace
    fill(station.database, 3000)
    spread_digests(station)
    count_all(station)
    fill(station.database, 1000, seed=1)
    spread_digests(station)
    count_all(station)
    count_all(station)
    return f"/api/v1/products/{add_product(station.database)}"


def test_each_part_is_counted_once(station: Station, client_as: ClientAs, filled: str) -> None:
    found = client_as("operator").get(f"{filled}/trends").json()
    with station.database.read() as session:
        query = select(Part.verdict, func.count()).group_by(Part.verdict)
        verdicts = {word: count for word, count in session.execute(query)}  # noqa: C416
        scores = np.array(session.scalars(select(Part.score).where(Part.score.is_not(None))).all())
        defects = session.scalar(select(func.sum(Part.defects)))
        sampled = session.scalar(select(func.count()).where(in_sample(), Part.verdict.is_not(None)))
    series = found["series"]
    for word in ("good", "review", "reject"):
        assert sum(series[word]) == verdicts[word]
    assert sum(series["errors"]) == verdicts[None]
    assert series["centre"] == pytest.approx(verdicts["reject"] / (4000 - verdicts[None]))
    assert sum(one["defects"] for one in found["lines"]) == defects
    assert [one["line"] for one in found["lines"]] == ["line 1", "line 2"]
    assert found["reviewed"]["sample_parts"] == sampled
    whole = client_as("operator").get(f"{filled}/trends", params={"step": "week"}).json()
    if len(whole["series"]["at"]) == 1:
        expected = np.quantile(scores, [0.05, 0.25, 0.5, 0.75, 0.95])
        assert whole["series"]["scores"][0] == pytest.approx(expected.tolist(), rel=0.045)
    one_line = client_as("operator").get(f"{filled}/trends", params={"line": "line 1"}).json()
    assert sum(one_line["series"]["parts"]) == found["lines"][0]["parts"]


def test_a_range_has_whole_hours(station: Station, client_as: ClientAs, filled: str) -> None:
    with station.database.read() as session:
        start = session.get_one(Part, 2000).received_at
    client = client_as("operator")
    found = client.get(f"{filled}/trends", params={"start": start, "step": "hour"}).json()
    assert found["series"]["at"][0] == start - start % HOUR
    assert (
        client.get(f"{filled}/trends", params={"start": now() + HOUR}).json()["series"]["at"] == []
    )
    assert client.get(f"{filled}/trends", params={"zone": "Asia/Tokyo"}).status_code == 200
    assert client.get(f"{filled}/trends", params={"step": "year"}).status_code == 422


def test_errors_of_all_reviewed_parts_and_of_the_sample(
    station: Station, client_as: ClientAs, filled: str
) -> None:
    rng = np.random.default_rng(0)
    with station.database.write() as session:
        for id in session.scalars(select(Part.id).where(Part.verdict.is_not(None))).all():
            if rng.random() < 0.3:
                word = (
                    "reject" if rng.random() < 0.2 else "unsure" if rng.random() < 0.1 else "good"
                )
                session.execute(update(Part).where(Part.id == id).values(decision=word))
    found = client_as("operator").get(f"{filled}/trends").json()["reviewed"]
    with station.database.read() as session:
        rows = session.execute(select(Part.verdict, Part.decision, Part.image)).all()
    for key, chosen in (("all", rows), ("sample", [row for row in rows if row.image < "08"])):
        table = [
            [
                sum(row.verdict == v and row.decision == d for row in chosen)
                for d in ("good", "reject")
            ]
            for v in ("good", "review", "reject")
        ]
        assert found[key] == ErrorRates.of(table).model_dump()
    assert 0 < found["sample_reviewed"] < found["reviewed"] / 8


def test_defects_by_type_and_line(station: Station, client_as: ClientAs, filled: str) -> None:
    user = add_user(station.database, "r", "operator")
    with station.database.write() as session:
        review = Review(part_id=1, user_id=user, created_at=now(), action="draw")
        session.add(review)
        session.flush()
        own = {"review_id": review.id, "shape": "polygon", "geometry": {}, "created_at": now()}
        drawn = [(1, "scratch", 30), (1, "scratch", 50), (3, "scratch", 9), (2, "dent", 4)]
        session.add_all(
            [DrawnDefect(part_id=part, type=kind, area=area, **own) for part, kind, area in drawn]
        )
        session.add(DrawnDefect(part_id=4, type="gone", area=1, removed_by=review.id, **own))
    types = client_as("operator").get(f"{filled}/trends").json()["types"]
    assert types == [
        {"type": "scratch", "line": "line 1", "parts": 2, "defects": 3, "largest": 50},
        {"type": "dent", "line": "line 2", "parts": 1, "defects": 1, "largest": 4},
    ]


def test_the_drift_of_a_product(
    station: Station, client_as: ClientAs, plain_board: int, calibrated_run: Path
) -> None:
    path = f"/api/v1/products/{plain_board}/drift"
    operator, engineer = client_as("operator"), client_as("engineer")
    assert operator.get(path).json()["test"] is None
    add_scores(station, calibrated_run, normal(300, 2.0))
    while station.services["drift"].step():  # type: ignore[attr-defined]
        pass
    found = operator.get(path).json()
    assert found["test"]["direction"] == "higher"
    assert "Alarm: good parts score higher" in found["statement"]
    assert found["capital"][-1] >= found["limit"] > found["capital"][0]
    assert operator.post(f"{path}/restart").status_code == 403
    assert engineer.post(f"{path}/restart").status_code == 204
    after = operator.get(path).json()
    assert after["test"] is None
    assert (after["before"][0]["ended_by"], after["before"][0]["direction"]) == (
        "engineer",
        "higher",
    )
    assert operator.get("/api/v1/products/99/drift").status_code == 404


def test_a_key_tests_again_for_drift(
    app_client: TestClient, station: Station, plain_board: int
) -> None:
    headers = {"Authorization": f"Bearer {add_key(station, 'manage')}"}
    program = TestClient(app_client.app, headers=headers)
    assert program.post(f"/api/v1/products/{plain_board}/drift/restart").status_code == 204
    with station.database.read() as session:
        (entry,) = find_entries(session, "drift.restart")
    assert (entry.user, entry.key) == ("administrator", "program")
