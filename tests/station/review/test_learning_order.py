"""The order that teaches most: likely defects, new and various ones first, in little time."""

from __future__ import annotations

import time

import numpy as np
import pytest
from sqlalchemy import select, update

from flawmap.station.context import Station
from flawmap.station.database.tables import Part
from flawmap.station.parts.pattern import pattern_of
from flawmap.station.review.decisions import decide
from flawmap.station.review.queue import Wish, next_parts
from station.filling import add_product, add_user, fill

WISH = Wish("teaches", "all")


def spot(row: int, column: int, size: int = 4) -> bytes:
    """Pattern of a map that is high in a square."""
    anomaly_map = np.zeros((64, 64), np.float32)
    anomaly_map[row : row + size, column : column + size] = 1.0
    return pattern_of(anomaly_map)


@pytest.fixture
def user(station: Station) -> int:
    """An operator, and parts of one product with the same p-value: three alike, two others."""
    fill(station.database, 5)
    patterns = [spot(0, 0), spot(0, 0), spot(0, 0), spot(8, 8, 40), spot(40, 0, 20)]
    with station.database.write() as session:
        session.execute(update(Part).values(verdict="reject", p_value=0.01, score=0.9, error=None))
        for part, pattern in zip(
            session.scalars(select(Part).order_by(Part.id)), patterns, strict=True
        ):
            part.pattern = pattern
    return add_user(station.database, "anna", "operator")


def ids(station: Station, user: int, count: int = 5) -> list[int]:
    """The next parts."""
    with station.database.read() as session:
        return [part.id for part in next_parts(session, user, WISH, count)]


def test_various_parts_come_first(station: Station, user: int) -> None:
    assert ids(station, user)[:3] in ([1, 4, 5], [1, 5, 4])


def test_what_is_like_a_reviewed_part_waits(station: Station, user: int) -> None:
    with station.database.write() as session:
        decide(session, 1, user, "reject")
    found = ids(station, user)
    assert {*found[:2]} == {4, 5}
    assert {*found[2:]} == {2, 3}


def test_rejected_parts_come_before_others(station: Station, user: int) -> None:
    with station.database.write() as session:
        session.execute(update(Part).where(Part.id == 3).values(p_value=0.004))
        session.execute(update(Part).where(Part.id != 3).values(p_value=0.3))
    assert ids(station, user)[0] == 3


def test_parts_of_products_do_not_hide_each_other(station: Station, user: int) -> None:
    other = add_product(station.database, "lid")
    with station.database.write() as session:
        session.execute(update(Part).where(Part.id == 3).values(product_id=other))
        decide(session, 1, user, "reject")
    found = ids(station, user)
    assert found.index(3) < found.index(2)


def test_parts_without_a_pattern_come_nearest_first(station: Station, user: int) -> None:
    with station.database.write() as session:
        for number in range(1, 6):
            own = update(Part).where(Part.id == number)
            session.execute(own.values(pattern=None, p_value=0.01 * 2**number))
    assert ids(station, user) == [1, 2, 3, 4, 5]


def test_parts_are_whole(station: Station, user: int) -> None:
    with station.database.read() as session:
        (part,) = next_parts(session, user, WISH, 1)
    assert part.record["format"] == 1


def test_a_thousand_open_parts_are_quick(station: Station, user: int) -> None:
    fill(station.database, 1_600)
    rng = np.random.default_rng(0)
    with station.database.write() as session:
        for part in session.scalars(select(Part)):
            part.pattern = rng.integers(0, 256, 64, np.uint8).tobytes()
            part.decision = "good" if part.id % 4 == 0 else None
    seconds = []
    for _ in range(3):
        begun = time.thread_time()
        assert len(ids(station, user, 4)) == 4
        seconds.append(time.thread_time() - begun)
    assert min(seconds) < 0.2, seconds  # 25 ms
