"""Parts as services read them: each once, also where transactions end out of order."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import insert
from sqlalchemy.orm import Session

from flawmap.station.context import Station
from flawmap.station.database.tables import Part
from flawmap.station.insight.arrivals import Arrivals
from station.filling import add_product, fill, rows_of
from station.postgres import on_both

on_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


@pytest.fixture
def arrivals(station: Station) -> Arrivals:
    return Arrivals(station.database, "test", (Part.score,), 40)


@pytest.fixture
def slow(station: Station) -> Iterator[Session]:
    """A transaction that has stored a part and is still under way."""
    product = add_product(station.database)
    with Session(station.database.engine) as session:
        session.execute(insert(Part), rows_of(product, [0.5], 7))
        yield session


def read(arrivals: Arrivals) -> list[int]:
    return [row.id for row in arrivals.read()[0]]


@on_both
def test_parts_are_read_at_once_and_never_again(station: Station, arrivals: Arrivals) -> None:
    fill(station.database, 100)
    chunks = [arrivals.read() for _ in range(4)]
    assert [len(rows) for rows, _ in chunks] == [40, 40, 20, 0]
    assert [more for _, more in chunks] == [True, True, False, False]
    assert [row.id for rows, _ in chunks for row in rows] == list(range(1, 101))
    with station.database.write() as session:
        arrivals.save(session)
    fill(station.database, 2)
    assert read(Arrivals(station.database, "test", (Part.score,), 40)) == [101, 102]


@on_postgresql
def test_a_part_that_is_stored_slowly_is_waited_for(
    station: Station, slow: Session, arrivals: Arrivals
) -> None:
    fill(station.database, 3)  # ids 2 to 4
    assert [read(arrivals) for _ in range(3)] == [[], [], []]
    slow.commit()
    assert read(arrivals) == [1, 2, 3, 4]


@on_postgresql
def test_an_id_that_no_part_gets_is_passed_over(
    station: Station, slow: Session, arrivals: Arrivals
) -> None:
    fill(station.database, 3)
    assert read(arrivals) == []
    slow.rollback()
    assert read(arrivals) == [2, 3, 4]
    fill(station.database, 1)
    assert read(arrivals) == [5]


@on_postgresql
def test_what_came_before_the_missing_id_is_read(
    station: Station, slow: Session, arrivals: Arrivals
) -> None:
    slow.rollback()
    fill(station.database, 2)  # ids 2 and 3
    assert [read(arrivals), read(arrivals)] == [[], [2, 3]]
    slow.execute(insert(Part), rows_of(1, [0.5], 8))  # id 4
    fill(station.database, 1)
    assert read(arrivals) == []
    slow.commit()
    assert read(arrivals) == [4, 5]
