"""Kept ranges of parts: always what the database holds now, although only changes are read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import insert, select

from flawmap.inspection.bundle.manifest import read_manifest
from flawmap.station.context import Station
from flawmap.station.database.tables import Part
from flawmap.station.insight.thresholds import kept, stored
from flawmap.station.insight.thresholds.kept import StoredCache
from flawmap.station.insight.thresholds.maps import MapMeasures
from flawmap.station.insight.thresholds.proposal import Proposal
from flawmap.station.insight.thresholds.stored import Kind, Range, StoredParts, load, load_defects
from flawmap.station.insight.thresholds.whatif import what_if
from flawmap.station.review.decisions import decide, undo
from station.conftest import ClientAs
from station.filling import add_product, add_user, fill, rows_of
from station.insight.conftest import Inspect, note_now, set_manifest
from station.postgres import on_both

COLUMNS = (
    "id", "received_at", "score", "verdict", "decision", "sampled", "defects", "has_map",
)  # fmt: skip
EVER = 2**53
RATES, AREA = {"false_reject": 0.02, "review": 0.1}, {"min_area": 90, "merge_distance": 40}


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[Range]:
    """The ranges that were read as a whole until now."""
    noted: list[Range] = []

    def note(session: Any, chosen: Range) -> StoredParts:
        noted.append(chosen)
        return load(session, chosen)

    monkeypatch.setattr(kept, "load", note)
    return noted


def of_kind(kind: Kind) -> tuple[object, ...]:
    return kind.record.model, kind.record.settings, kind.settings


def checked(station: Station, cache: StoredCache, chosen: Range) -> StoredParts:
    """Return a kept range, after a check that it is what is read as a whole."""
    with station.database.read() as session:
        found, fresh = cache.get(session, chosen), load(session, chosen)
        for name in COLUMNS:
            np.testing.assert_array_equal(getattr(found, name), getattr(fresh, name), name)
        assert found.truncated == fresh.truncated
        kinds = [[of_kind(one.kinds[number]) for number in one.kind] for one in (found, fresh)]
        assert kinds[0] == kinds[1]
        lists = [load_defects(session, one) for one in (found, fresh)]
    defects = [sorted(zip(*(one.tolist() for one in lists_), strict=True)) for lists_ in lists]
    assert defects[0] == defects[1]
    return found


@on_both
def test_later_parts_and_decisions_are_in_a_fixed_range(
    station: Station, loaded: list[Range]
) -> None:
    user, board = add_user(station.database, "anna", "operator"), add_product(station.database)
    cache, ranges = StoredCache(), [Range(board, 0, EVER), Range(board, 0, EVER, "line 1")]

    def act(action: Callable[..., Any], *more: Any) -> None:
        with station.database.write() as session:
            action(session, *more)

    for change in (
        lambda: fill(station.database, 300, every=0.1),
        lambda: fill(station.database, 150, seed=1),  # from before, between and after these
        lambda: act(decide, 5, user, "reject"),
        lambda: act(decide, 420, user, "good"),
        lambda: fill(station.database, 30, product="lid"),
        lambda: act(decide, 5, user, "unsure"),
        lambda: act(undo, user),
        lambda: act(undo, user, 420),
        lambda: None,
    ):
        change()
        whole, _ = (checked(station, cache, chosen) for chosen in ranges)
    assert loaded == ranges
    assert whole.id[whole.decision >= 0].tolist() == [5]


def test_a_part_that_is_shown_late_is_found(station: Station, loaded: list[Range]) -> None:
    """PostgreSQL may show a part after others with higher ids, if its transaction ends later."""
    cache, chosen = StoredCache(), Range(add_product(station.database), 0, EVER)
    rows = rows_of(chosen.product_id, [0.1, 0.2, 0.3], 1000)
    for id, row in zip((1, 7, 3), rows, strict=True):
        with station.database.write() as session:
            session.execute(insert(Part), [row | {"id": id}])
        found = checked(station, cache, chosen)
    assert found.id.tolist() == [7, 3, 1]
    assert loaded == [chosen]


def test_only_the_newest_are_kept(
    station: Station, loaded: list[Range], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (kept, stored):
        monkeypatch.setattr(module, "MOST", 100)
    cache, chosen = StoredCache(), Range(add_product(station.database), 0, EVER)
    for seed in range(3):
        fill(station.database, 70, seed=seed)
        assert checked(station, cache, chosen).truncated == (seed > 0)
    assert loaded == [chosen]


def test_many_changes_are_read_as_a_whole(
    station: Station, loaded: list[Range], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "_FEW", 50)
    cache, chosen = StoredCache(), Range(add_product(station.database), 0, EVER)
    for count in (10, 50, 51):
        fill(station.database, count)
        checked(station, cache, chosen)
    assert loaded == 2 * [chosen]


def test_parts_of_other_settings_are_joined(
    station: Station, board: int, run: Path, inspect: Inspect, loaded: list[Range]
) -> None:
    cache, chosen = StoredCache(), Range(board, 0, EVER)
    for values in ({}, {"rates": RATES}, {"filters": AREA}):
        set_manifest(run, Proposal.model_validate(values).apply)
        note_now(station, board, run)
        inspect(range(20))
        found = checked(station, cache, chosen)
    assert len(found.kinds) == 3
    assert loaded == [chosen]


def test_maps_are_not_read_again(
    station: Station, board: int, run: Path, inspect: Inspect, loaded: list[Range]
) -> None:
    maps, cache = MapMeasures(station.database, station.files, run), StoredCache()
    manifest = Proposal.model_validate({"rates": RATES, "filters": AREA}).apply(read_manifest(run))

    def waiting(seconds: float) -> int:
        with station.database.read() as session:
            found = cache.get(session, Range(board, 0, EVER))
            return what_if(session, found, manifest, maps, seconds).waiting

    inspect(range(100))
    assert waiting(0.0) > waiting(60.0) == 0
    inspect(range(100, 103))
    assert waiting(0.0) <= 3
    assert len(loaded) == 1


def test_a_program_that_asks_again_gets_the_parts_of_now(
    client_as: ClientAs, board: int, inspect: Inspect
) -> None:
    client: TestClient = client_as("operator")
    asked = {"false_reject": 0.02, "review": 0.1}

    def answer() -> tuple[int, int]:
        found = client.get(f"/api/v1/products/{board}/what-if", params=asked).json()
        return found["parts"], found["reviewed"]

    (first, *_) = inspect(range(10))
    assert answer() == (10, 0)
    inspect(range(10, 13))
    assert answer() == (13, 0)
    client.post(f"/api/v1/parts/{first.id}/reviews", json={"decision": "good"})
    assert answer() == (13, 1)
    client.post("/api/v1/reviews/undo", json={})
    assert answer() == (13, 0)


def test_changes_are_found_by_their_ids(station: Station) -> None:
    if not station.database.is_sqlite:
        pytest.skip("SQLite's plans are read here")
    for chosen in (Range(1, 0, EVER), Range(1, 0, EVER, "line 1")):
        changed = kept._changed_since(chosen, stored.Mark(1000, 1000, 0))
        query = select(Part.id).where(*changed)
        literal = {"literal_binds": True}
        statement = str(query.compile(station.database.engine, compile_kwargs=literal))
        with station.database.engine.connect() as connection:
            plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}")]
        by_id = (
            "INTEGER PRIMARY KEY ("
            if chosen.line is None
            else "INDEX ix_parts_line (line=? AND id=?"
        )
        assert plan[0].startswith(f"SEARCH parts USING {by_id}"), plan
        assert "SEARCH reviews USING INTEGER PRIMARY KEY (rowid>?)" in plan, plan
        assert not any("SCAN" in step for step in plan), plan
