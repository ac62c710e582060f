"""Locks: one person at a time, expiry, and taking over."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from flawmap.station.context import Station
from flawmap.station.database.tables import PartLock
from flawmap.station.review import locks
from flawmap.station.review.decisions import decide
from flawmap.station.review.queue import Wish, next_parts
from station.filling import add_user, fill


@pytest.fixture
def people(station: Station) -> tuple[int, int]:
    """Two operators, and parts."""
    fill(station.database, 40)
    return add_user(station.database, "anna", "operator"), add_user(
        station.database, "ben", "operator"
    )


def test_a_lock_keeps_others_out_until_it_expires(
    station: Station, people: tuple[int, int]
) -> None:
    anna, ben = people
    with station.database.write() as session:
        assert locks.hold(session, [1, 2], anna) == [1, 2]
        assert locks.hold(session, [1, 3], ben) == [3]
        assert locks.holders(session, [1, 2, 3], ben) == {1: "anna", 2: "anna"}
        assert locks.hold(session, [1], anna) == [1]  # refreshed
        session.execute(update(PartLock).where(PartLock.part_id == 1).values(until=1))
        assert locks.hold(session, [1], ben) == [1]
        assert locks.holders(session, [1], anna) == {1: "ben"}


def test_a_lock_is_taken_over_and_given_back(station: Station, people: tuple[int, int]) -> None:
    anna, ben = people
    with station.database.write() as session:
        locks.hold(session, [1], anna)
        assert locks.take_over(session, 1, ben) == "anna"
        assert locks.take_over(session, 1, ben) is None
        locks.release(session, 1, anna)  # not hers any more
        assert locks.holders(session, [1], anna) == {1: "ben"}
        locks.release(session, 1, ben)
        assert locks.holders(session, [1], anna) == {}


def test_the_queue_leaves_out_what_others_have(station: Station, people: tuple[int, int]) -> None:
    anna, ben = people
    with station.database.write() as session:
        first = [part.id for part in next_parts(session, anna, Wish(), 2)]
        locks.hold(session, first, anna)
        assert not set(first) & {part.id for part in next_parts(session, ben, Wish(), 40)}
        assert [part.id for part in next_parts(session, anna, Wish(), 2)] == first
        decide(session, first[0], anna, "good")
        assert locks.holders(session, first, ben) == {first[1]: "anna"}
