"""Search for parts against a plain filter over all rows; pages that miss and repeat nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import event, select

from flawmap.errors import UsageError
from flawmap.station.context import Station
from flawmap.station.database.engine import Database
from flawmap.station.database.tables import Part
from flawmap.station.parts import find
from flawmap.station.parts.find import Order, PartFilter, count_parts, find_parts
from station.filling import fill
from station.postgres import on_both

CASES: list[tuple[dict[str, object], Callable[[Part], bool]]] = [
    ({}, lambda p: True),
    ({"line": "line 2"}, lambda p: p.line == "line 2"),
    ({"verdicts": ("reject", "error")}, lambda p: p.verdict in ("reject", None)),
    ({"verdicts": ("error",)}, lambda p: p.verdict is None),
    ({"decisions": ("open",)}, lambda p: p.decision is None),
    ({"decisions": ("good", "open")}, lambda p: p.decision in ("good", None)),
    ({"number": "SN-1-000001"}, lambda p: (p.number or "").startswith("SN-1-000001")),
    ({"lowest_score": 0.1, "highest_score": 0.2}, lambda p: 0.1 <= (p.score or 0) <= 0.2),
    ({"highest_p": 0.8}, lambda p: p.p_value is not None and p.p_value <= 0.8),
    ({"smallest_area": 900}, lambda p: (p.largest_area or 0) >= 900),
    ({"largest_area": 900}, lambda p: p.largest_area is not None and p.largest_area <= 900),
    ({"field": "shift=late"}, lambda p: p.fields["shift"] == "late"),
    ({"source": "camera:1"}, lambda p: False),
    ({"image": f"{7:064x}"}, lambda p: p.id == 8),
]


@pytest.fixture
def filled(station: Station) -> Station:
    fill(station.database, 250)
    with station.database.write() as session:
        for part in session.scalars(select(Part).where(Part.id % 3 == 0)):
            part.decision = "good" if part.id % 2 else "reject"
    return station


@on_both
def test_a_filter_finds_what_it_says(filled: Station) -> None:
    with filled.database.read() as session:
        rows = session.scalars(select(Part)).all()
        for given, expected in CASES:
            wanted = {part.id for part in rows if expected(part)}
            found = find_parts(session, PartFilter(**given), limit=1000)
            assert ({part.id for part in found.parts}, found.after) == (wanted, None), given
            assert count_parts(session, PartFilter(**given)) == (len(wanted), False)
            assert count_parts(session, PartFilter(**given), most=2).more == (len(wanted) > 2)


@on_both
@pytest.mark.parametrize("order", ["newest", "oldest", "highest", "lowest"])
def test_pages_miss_and_repeat_nothing(filled: Station, order: Order) -> None:
    with filled.database.write() as session:
        for part in session.scalars(select(Part).where(Part.id < 100)):
            part.received_at = 7  # many at once
            part.score = part.score if part.score is None else 0.5
    seen, after = [], None
    with filled.database.read() as session:
        whole = find_parts(session, PartFilter(), None, 1000, order).parts
        while True:
            found = find_parts(session, PartFilter(), after, 40, order)
            seen += [part.id for part in found.parts]
            if (after := found.after) is None:
                break
    assert seen == [part.id for part in whole]
    assert len(seen) == len(set(seen)) == (250 if order in ("newest", "oldest") else 248)


@pytest.mark.parametrize("after", ["", "x", "WzFd", "bnVsbA", "é", "W1tdLDEsMl0"])
def test_a_page_that_none_gave_is_refused(filled: Station, after: str) -> None:
    with filled.database.read() as session, pytest.raises(UsageError, match="start the search"):
        find_parts(session, PartFilter(), after)


def test_a_page_of_another_order_is_refused(filled: Station) -> None:
    with filled.database.read() as session:
        after = find_parts(session, PartFilter(), None, 10, "newest").after
        with pytest.raises(UsageError, match="start the search"):
            find_parts(session, PartFilter(), after, 10, "oldest")


def test_a_field_needs_name_and_value(filled: Station) -> None:
    with filled.database.read() as session, pytest.raises(UsageError, match="NAME=VALUE"):
        find_parts(session, PartFilter(field="shift"))


@on_both
def test_many_numbers_that_begin_alike_are_found_through_time(
    filled: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(find, "_COMMON", 5)
    with filled.database.read() as session:
        found = find_parts(session, PartFilter(number="SN-1-000001"), limit=1000)
    assert [part.id for part in found.parts] == list(range(20, 10, -1))


COMMON = [
    {"verdicts": ("reject",)},
    {"verdicts": ("review", "error"), "line": "none"},
    {"decisions": ("good",)},
    {"product": 1, "decisions": ("open",), "line": "none"},
    {"number": "SN-1-000001"},
    {"product": 1, "lowest_score": 0.99},
    {"smallest_area": 10_000, "highest_p": 0.5},
]


@pytest.mark.parametrize("wanted", COMMON)
def test_a_common_search_reads_an_index_alone(tmp_path: Path, wanted: dict[str, object]) -> None:
    database, asked = Database(f"sqlite:///{tmp_path}/station.sqlite"), []
    database.upgrade()
    with database.read() as session:
        event.listen(
            database.engine, "before_cursor_execute", lambda *args: asked.append(args[2:4])
        )
        find_parts(session, PartFilter(**wanted))
        statement, values = asked[-1]
        plan = session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
        steps = [row[3] for row in plan]
    database.close()
    assert steps[0] == "SEARCH parts USING INTEGER PRIMARY KEY (rowid=?)"
    assert "USING COVERING INDEX" in steps[2], steps
