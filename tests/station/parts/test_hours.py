"""Hourly roll-ups equal sums over the rows, also when two write at once."""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from flawmap.station.context import Station
from flawmap.station.database.tables import Part, PartHour
from flawmap.station.parts.hours import BINS, HOUR, count_in_hours
from station.filling import fill
from station.postgres import on_both


@on_both
def test_roll_ups_are_the_sums_of_the_rows(station: Station) -> None:
    fill(station.database, 500, every=20.0)
    groups = defaultdict(list)
    with station.database.read() as session:
        for part in session.scalars(select(Part)):
            groups[part.received_at // HOUR * HOUR, part.line].append(part)
        rows = session.scalars(select(PartHour)).all()
    assert len(rows) == len(groups) >= 6
    for row in rows:
        parts = groups[row.hour, row.line]
        judged = [part for part in parts if part.verdict is not None]
        for verdict in ("good", "review", "reject"):
            assert getattr(row, verdict) == sum(part.verdict == verdict for part in parts)
        assert row.errors == len(parts) - len(judged)
        assert row.defects == sum(part.defects or 0 for part in judged)
        assert row.score_sum == pytest.approx(sum(part.score for part in judged))
        assert row.score_squares == pytest.approx(sum(part.score**2 for part in judged))
        assert sum(row.p_values) == len(judged)
        assert row.p_values[BINS - 1] == sum(part.p_value >= 1 - 1 / BINS for part in judged)
        assert row.total_ms == pytest.approx(sum(part.total_ms for part in parts))
        assert row.slowest_ms == max(part.total_ms for part in parts)


@on_both
def test_nothing_is_lost_when_several_count_at_once(station: Station) -> None:
    fill(station.database, 1)
    with station.database.read() as session:
        (part,) = session.scalars(select(Part))

    def count(_: int) -> None:
        with station.database.write() as session:
            count_in_hours(session, [part])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(count, range(40)))
    with station.database.read() as session:
        (row,) = session.scalars(select(PartHour))
    assert row.good + row.review + row.reject + row.errors == 41
