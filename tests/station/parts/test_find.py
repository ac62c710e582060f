"""Search for parts against a plain filter over all rows; pages that miss and repeat nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, select

from flawmap.errors import UsageError
from flawmap.station.context import Station
from flawmap.station.database.engine import Database
from flawmap.station.database.tables import Part
from flawmap.station.parts import conditions
from flawmap.station.parts.filters import PartFilter
from flawmap.station.parts.find import Order, count_parts, find_parts
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
    monkeypatch.setattr(conditions, "FEW", 5)
    with filled.database.read() as session:
        found = find_parts(session, PartFilter(number="SN-1-000001"), limit=1000)
    assert [part.id for part in found.parts] == list(range(20, 10, -1))


def plan_of(database: Database, wanted: dict[str, object], order: Order) -> list[str]:
    """How SQLite finds the ids of a page, in its own words."""
    asked: list[Sequence[Any]] = []
    with database.read() as session:
        event.listen(
            database.engine, "before_cursor_execute", lambda *args: asked.append(args[2:4])
        )
        find_parts(session, PartFilter(**wanted), order=order)
        statement, values = asked[-2]  # before the one that reads the page's rows
        plan = session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
        return [row[3] for row in plan]


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/station.sqlite")
    database.upgrade()
    yield database
    database.close()


COMMON: list[tuple[dict[str, object], Order]] = [
    ({}, "newest"),
    ({"verdicts": ("reject",)}, "newest"),
    ({"verdicts": ("review", "error"), "line": "line 1"}, "newest"),
    ({"product": 1, "decisions": ("open",), "line": "line 1"}, "oldest"),
    ({"number": "SN-1-000001", "verdicts": ("reject",)}, "newest"),
    ({"product": 1, "lowest_score": 0.1}, "newest"),
    ({"smallest_area": 10, "highest_p": 0.5}, "newest"),
    ({"verdicts": ("reject",), "product": 1}, "lowest"),
    ({"line": "line 1", "decisions": ("good",), "since": 9}, "highest"),
]


@pytest.mark.parametrize(("wanted", "order"), COMMON)
def test_many_parts_are_found_by_a_walk_through_an_index_alone(
    empty: Database, monkeypatch: pytest.MonkeyPatch, wanted: dict[str, object], order: Order
) -> None:
    monkeypatch.setattr(conditions, "FEW", 0)  # each condition is fulfilled by many
    (step,) = plan_of(empty, wanted, order)
    assert "USING COVERING INDEX" in step


RARE: list[tuple[dict[str, object], str]] = [
    ({"image": "ab" * 32}, "image"),
    ({"number": "SN-1-000001"}, "number_received_at_id"),
    ({"smallest_area": 10_000}, "area"),
    ({"lowest_score": 0.99}, "score"),
    ({"line": "line 9"}, "line"),
    ({"source": "camera:1"}, "source"),
    ({"verdicts": ("error",)}, "verdict"),
    ({"decisions": ("good", "unsure")}, "decision"),
]


@pytest.mark.parametrize(("wanted", "index"), RARE)
def test_few_parts_are_found_by_the_condition_that_only_they_fulfil(
    empty: Database, wanted: dict[str, object], index: str
) -> None:
    # with a condition that all parts fulfil, whose index a planner without statistics might take
    steps = plan_of(empty, wanted | {"settings": "x", "since": 0}, "newest")
    assert any(f"ix_parts_{index} (" in step for step in steps), steps
    assert not any("ix_parts_time" in step for step in steps), steps


@on_both
def test_few_parts_or_many_the_same_are_found(
    filled: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    with filled.database.read() as session:
        for given, _ in CASES:
            found = []
            for few in (0, 5, 60, 2000):
                monkeypatch.setattr(conditions, "FEW", few)
                for order in ("oldest", "lowest"):
                    page = find_parts(session, PartFilter(**given), None, 1000, order).parts
                    found.append((order, [part.id for part in page]))
            assert found[0::2] == found[0:1] * 4, given
            assert found[1::2] == found[1:2] * 4, given
