"""The queue's orders against a plain sort of all open parts."""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event, select, update

from flawmap.station.context import Station
from flawmap.station.database.tables import Part, SettingsVersion
from flawmap.station.database.tables.base import now
from flawmap.station.review.decisions import decide
from flawmap.station.review.levels import reject_level, reject_threshold
from flawmap.station.review.queue import (
    ORDERS,
    Which,
    Wish,
    count_open,
    count_since,
    next_parts,
)
from station.filling import add_product, add_user, fill

LEVEL = 0.9  # so that p-values of `fill` are on both sides
SKIPPED = (7, 8, 9)
Key = Callable[[Part], Any]


def _nearness(part: Part) -> tuple[float, int]:
    if part.p_value is None:  # it could not be inspected: the oldest come first
        return part.received_at, part.id
    return abs(math.log(part.p_value / LEVEL)), part.id


@pytest.fixture
def user(station: Station) -> int:
    """An operator; two products with parts, a twentieth of them decided on; a reject level."""
    fill(station.database, 300)
    fill(station.database, 200, product="lid", seed=1)
    with station.database.write() as session:
        for name in ("board", "lid"):
            session.add(_settings(add_product(station.database, name)))
        session.execute(update(Part).where(Part.id % 20 == 3).values(decision="good", reviewers=1))
    return add_user(station.database, "anna", "operator")


def _settings(product_id: int) -> SettingsVersion:
    return SettingsVersion(
        product_id=product_id,
        number=1,
        settings="cd" * 8,
        model="ab" * 32,
        values={"calibration": {"reject": {"rate": LEVEL, "value": 0.5}, "scores": [0.1]}},
        created_at=now(),
    )


KEYS: dict[str, Key] = {
    "nearest": _nearness,
    "oldest": lambda part: (part.received_at, part.id),
    "newest": lambda part: (-part.received_at, -part.id),
}
VERDICTS: dict[Which, set[str | None]] = {
    "flagged": {"review", "reject"},
    "review": {"review"},
    "all": {"review", "reject", "good"},
    "errors": {None},
}


def test_orders(station: Station, user: int) -> None:
    assert {name for name, order in ORDERS.items() if not order.weighs} == KEYS.keys()
    with station.database.read() as session:
        assert reject_level(session, 1) == LEVEL
        assert reject_threshold(session, 1) == 0.5
        parts = [part for part in session.scalars(select(Part)) if part.decision is None]
        for order, which, product in itertools.product(KEYS, VERDICTS, (None, 2)):
            wish = Wish(order, which, product)
            queued = [
                part
                for part in parts
                if part.verdict in VERDICTS[which] and product in (None, part.product_id)
            ]
            found = next_parts(session, user, wish, 25, skip=SKIPPED)
            expected = sorted((one for one in queued if one.id not in SKIPPED), key=KEYS[order])
            assert [part.id for part in found] == [part.id for part in expected[:25]], wish
            assert count_open(session, wish) == len(queued), wish


def test_errors_teach_nothing_and_come_oldest_first(station: Station, user: int) -> None:
    with station.database.read() as session:
        found = next_parts(session, user, Wish("teaches", "errors"), 25)
        oldest = next_parts(session, user, Wish("oldest", "errors"), 25)
    assert found == oldest != []


def test_second_looks_come_first_and_not_to_who_decided(station: Station, user: int) -> None:
    ben = add_user(station.database, "ben", "operator")
    with station.database.write() as session:
        session.execute(update(Part).values(decision=None, reviewers=0))
        flagged = [part.id for part in next_parts(session, user, Wish(), 20)]
        for part_id in flagged:
            decide(session, part_id, user, "good")
        again = Wish(second=1.0)
        assert [part.id for part in next_parts(session, ben, again, 20)] == flagged
        assert not set(flagged) & {part.id for part in next_parts(session, user, again, 60)}
        some = next_parts(session, ben, Wish(second=0.3), 20)
        assert 1 <= len({part.id for part in some} & set(flagged)) < 20
        decide(session, flagged[0], ben, "reject")
        assert flagged[0] not in {part.id for part in next_parts(session, ben, again, 20)}


def test_own_decisions_are_counted(station: Station, user: int) -> None:
    with station.database.write() as session:
        decide(session, 1, user, "good")
        decide(session, 1, user, "reject")
        decide(session, 2, user, "good")
        assert count_since(session, user, 0) == 2
        assert count_since(session, user, now() + 1) == 0


@pytest.mark.parametrize(
    "wish",
    [*map(Wish, ORDERS), Wish(which="errors"), Wish("teaches", "errors"), Wish(second=0.5)],
    ids=str,
)
def test_no_order_reads_all_parts(station: Station, user: int, wish: Wish) -> None:
    if not station.database.is_sqlite:
        pytest.skip("SQLite's plans are read here")
    statements: list[tuple[str, Any]] = []
    here = threading.get_ident()  # what watches the parts in another thread asks, too

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_more: Any) -> None:
        if "FROM parts" in statement and threading.get_ident() == here:
            statements.append((statement, parameters))

    event.listen(station.database.engine, "before_cursor_execute", note)
    with station.database.read() as session:
        next_parts(session, user, wish, 4)
    event.remove(station.database.engine, "before_cursor_execute", note)
    assert statements
    with station.database.engine.connect() as connection:
        for statement, parameters in statements:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            steps = " ".join(row[3] for row in plan)
            used = ("INDEX ix_parts_o", "INDEX ix_parts_reviewed", "INTEGER PRIMARY KEY")
            assert any(f"USING {one}" in steps for one in used), steps
            assert "TEMP B-TREE FOR ORDER BY" not in steps, steps
