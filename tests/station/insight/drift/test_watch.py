"""The drift test while parts arrive: the result is the one of `flawmap drift`."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from sqlalchemy import func, insert, select

from flawmap.calibration.drift import drift
from flawmap.inspection.bundle.manifest import read_manifest, settings_id
from flawmap.station.context import Station
from flawmap.station.database.tables import AuditEntry, DriftTestRow, Part
from flawmap.station.events import EventBus
from flawmap.station.insight.drift.curve import Curve
from flawmap.station.insight.drift.watch import DriftWatch
from flawmap.station.insight.thresholds.proposal import Proposal
from flawmap.station.security.callers import Caller
from station.filling import add_product, add_user, rows_of
from station.insight.conftest import note_now, set_manifest

SHIFTS = {"as before": 0.0, "a little higher": 0.6, "much lower": -1.5}


def add_scores(station: Station, run: Path, scores: list[float], *, product: str = "board") -> None:
    """Add parts that scored so, as the run's settings of now judge them."""
    manifest = read_manifest(run)
    limits, settings = manifest.calibration, settings_id(manifest)
    with station.database.read() as session:
        start = (session.scalar(select(func.max(Part.received_at))) or 0) + 1
    rows = rows_of(add_product(station.database, product), scores, start)
    for row, score in zip(rows, scores, strict=True):
        record = cast(dict[str, object], row["record"])
        if row["score"] is not None:
            record |= {"verdict": limits.verdict(score), "p_value": limits.p_value(score)}
        row |= {"record": record | {"settings": settings, "path": "x"}, "settings": settings}
    with station.database.write() as session:
        session.execute(insert(Part), rows)


def lines_of(station: Station, folder: Path, after: int = 0) -> Path:
    """All records as `predict --json` writes them."""
    with station.database.read() as session:
        query = select(Part.record).where(Part.id > after).order_by(Part.id)
        records = session.scalars(query).all()
    path = folder / "lines.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in records))
    return path


def normal(count: int, shift: float, seed: int = 0) -> list[float]:
    return [float(one) for one in np.random.default_rng(seed).normal(size=count) + shift]


@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.parametrize("restarts", [False, True])
def test_the_result_is_that_of_the_verb(
    station: Station,
    plain_board: int,
    calibrated_run: Path,
    tmp_path: Path,
    shift: str,
    restarts: bool,
) -> None:
    """However the parts arrive, and also if the station starts again in between."""
    watch, rng = DriftWatch(station.database, EventBus()), np.random.default_rng(1)
    scores = normal(700, SHIFTS[shift])
    while scores:
        count = int(rng.integers(1, 200))
        add_scores(station, calibrated_run, scores[:count])
        scores = scores[count:]
        watch.step()
        if restarts:
            watch.stop()
            watch = DriftWatch(station.database, EventBus())
    found, expected = watch.of(plain_board), drift(calibrated_run, lines_of(station, tmp_path))
    assert found is not None
    assert found.test is not None
    evidence = found.test.evidence
    assert (evidence.value, evidence.direction) == (expected.evidence, expected.direction)
    assert (found.alarm and found.alarm.id) == expected.alarm_at
    if not expected.alarm:
        assert (found.tested, found.left_out) == (expected.parts, expected.rejected)


def test_a_crash_loses_nothing(station: Station, plain_board: int, calibrated_run: Path) -> None:
    """A watch that was never stopped is followed by one that reads from what it saved."""
    first = DriftWatch(station.database, EventBus())
    for seed in range(4):
        add_scores(station, calibrated_run, normal(400, 0.0, seed))
        first.step()
    second = DriftWatch(station.database, EventBus())
    while second.step():
        pass
    one, other = first.of(plain_board), second.of(plain_board)
    assert one is not None
    assert other is not None
    assert one.test is not None
    assert other.test is not None
    assert (one.tested, one.test.evidence) == (other.tested, other.test.evidence)
    assert one.test.capital == other.test.capital


def test_an_alarm_is_published_and_can_be_acknowledged(
    station: Station, plain_board: int, calibrated_run: Path, tmp_path: Path
) -> None:
    events = EventBus()
    watch = DriftWatch(station.database, events)
    add_scores(station, calibrated_run, normal(300, 2.0))
    with events.subscribe() as published:
        watch.step()
        watch.step()
        alarm = published.get_nowait()
        assert published.empty(), "an alarm is raised once"
    assert (alarm.kind, alarm.values["direction"], alarm.values["on"]) == ("alarm", "higher", True)
    assert list(watch.alarms) == ["board"]
    later = DriftWatch(station.database, EventBus())
    later.step()
    assert list(later.alarms) == ["board"]
    caller = Caller("e", "engineer", add_user(station.database, "e", "engineer"))
    watch.restart(plain_board, caller)
    assert watch.of(plain_board) is None
    assert not watch.alarms
    add_scores(station, calibrated_run, normal(100, 0.0))
    watch.step()
    again, expected = watch.of(plain_board), drift(calibrated_run, lines_of(station, tmp_path, 300))
    assert again is not None
    assert again.alarm is None
    assert again.tested == expected.parts
    with station.database.read() as session:
        actions = session.scalars(select(AuditEntry.action)).all()
        rows = session.scalars(select(DriftTestRow).order_by(DriftTestRow.id)).all()
    assert actions == ["drift.alarm", "drift.restart"]
    assert [row.ended_by for row in rows] == [caller.user_id, None][: len(rows)]


def test_other_settings_begin_another_test(
    station: Station, plain_board: int, calibrated_run: Path
) -> None:
    watch = DriftWatch(station.database, EventBus())
    add_scores(station, calibrated_run, normal(100, 0.0))
    watch.step()
    other = Proposal.model_validate({"rates": {"false_reject": 0.2, "review": 0.4}})
    set_manifest(calibrated_run, other.apply)
    add_scores(station, calibrated_run, normal(50, 0.0))
    watch.step()
    unknown = watch.of(plain_board)
    assert unknown is not None
    assert "not among" in (unknown.impossible or "")
    note_now(station, plain_board, calibrated_run)
    set_manifest(calibrated_run, Proposal.model_validate({"filters": {"min_area": 3}}).apply)
    note_now(station, plain_board, calibrated_run)
    add_scores(station, calibrated_run, normal(80, 0.0))
    watch.step()
    last = watch.of(plain_board)
    assert last is not None
    assert (last.tested + last.left_out, last.impossible) == (80, None)


def test_a_curve_keeps_few_points_and_the_last() -> None:
    curve = Curve()
    for first in range(0, 10_000, 37):
        moments = list(range(first, min(10_000, first + 37)))
        curve.extend(moments, [float(one) for one in moments])
        curve = Curve.from_dict(json.loads(json.dumps(curve.to_dict())))
    drawn = curve.drawn()
    assert 300 <= len(drawn) <= 601
    assert drawn[0] == (0, 0.0)
    assert drawn[-1] == (9999, 9999.0)
    assert all(at == value for at, value in drawn)
    assert len({b[0] - a[0] for a, b in pairwise(drawn[:-1])}) == 1
