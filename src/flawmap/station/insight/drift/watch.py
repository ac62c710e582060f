"""Service that tests each product for drift while parts arrive, and raises alarms."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import groupby
from typing import cast

from sqlalchemy import select
from sqlalchemy.orm import Session, undefer

from flawmap.inspection.conformal import Calibration
from flawmap.station.context import Station
from flawmap.station.database.engine import Database
from flawmap.station.database.tables import DriftTestRow, Part, Product
from flawmap.station.database.tables.base import now
from flawmap.station.events import Event, EventBus
from flawmap.station.insight.arrivals import Arrivals
from flawmap.station.insight.drift.running import Arrived, RunningTest
from flawmap.station.insight.looking import Looking
from flawmap.station.insight.versions import settings_of, versions_of
from flawmap.station.security import audit
from flawmap.station.security.callers import Caller

NAME = "drift"
_CHUNK = 5000  # parts read at once
_COLUMNS = (Part.product_id, Part.received_at, Part.score, Part.model, Part.settings)


class DriftWatch(Looking):
    """Drift tests of all products: one is open for each, with the settings of its last part.

    Their state is in memory and in the database: a station that starts again goes on with it. It
    is saved now and then; after a crash, the parts since are read again.
    """

    name = NAME

    def __init__(self, database: Database, events: EventBus) -> None:
        super().__init__()
        self._database, self._events = database, events
        self._lock = threading.RLock()
        self._open: dict[int, RunningTest] | None = None
        self.alarms: tuple[str, ...] = ()
        """Names of the products whose test has raised its alarm, for the header of all pages."""
        self._arrivals = Arrivals(database, self.name, _COLUMNS, _CHUNK)

    def stop(self) -> None:
        """Save and end."""
        super().stop()
        with self._lock:
            if self._open is not None:
                self._save(self._open.values())

    def step(self) -> bool:
        """Test the parts that arrived since; return whether there may be more at once."""
        with self._lock:
            tests = self._loaded()
            rows, full = self._arrivals.read()
            parts = [Arrived(*row) for row in rows if row.score is not None]
            done = _Done()
            for product_id in dict.fromkeys(part.product_id for part in parts):
                own = [part for part in parts if part.product_id == product_id]
                self._test(tests, product_id, own, done)
            if done.raised or done.ended or any(one.must_be_saved for one in tests.values()):
                self._save([*done.ended, *tests.values()])
            if done.raised or done.ended:
                self._list_alarms(tests)
        for one in done.raised:
            self._announce(one)
        return full

    def of(self, product_id: int) -> RunningTest | None:
        """Return the open test of a product, up to the parts read until now."""
        with self._lock:
            return self._loaded().get(product_id)

    def restart(self, product_id: int, caller: Caller) -> None:
        """End the product's test; the next part begins another one."""
        with self._lock:
            while self.step():
                pass
            ended = self._loaded().pop(product_id, None)
            with self._database.write() as session:
                name = session.get_one(Product, product_id).name
                alarm = ended is not None and ended.alarm is not None
                audit.record(session, caller, "drift.restart", name, alarm=alarm)
                if ended is not None:
                    ended.ended_at, ended.ended_by = now(), caller.user_id
                    ended.save(session)
                self._arrivals.save(session)
            self._list_alarms(self._loaded())
        values = {"product_id": product_id, "product": name, "on": False, "kind": "drift"}
        self._events.publish(Event("alarm", values))

    def _loaded(self) -> dict[int, RunningTest]:
        """Return the open tests by product, read from the database the first time."""
        if self._open is None:
            open_rows = select(DriftTestRow).where(DriftTestRow.ended_at.is_(None))
            with self._database.read() as session:
                rows = session.scalars(open_rows.options(undefer(DriftTestRow.ordered))).all()
                self._open = {row.product_id: _restored(session, row) for row in rows}
            self._list_alarms(self._open)
        return self._open

    def _list_alarms(self, tests: dict[int, RunningTest]) -> None:
        raised = [id for id, one in tests.items() if one.alarm is not None]
        query = select(Product.name).where(Product.id.in_(raised)).order_by(Product.name)
        with self._database.read() as session:
            self.alarms = tuple(session.scalars(query)) if raised else ()

    def _test(
        self, tests: dict[int, RunningTest], product_id: int, parts: list[Arrived], done: _Done
    ) -> None:
        for kind, group in groupby(parts, _kind):
            members, test = list(group), tests.get(product_id)
            if test is None or (test.model, test.settings) != kind:
                if test is not None:
                    if members[0].received_at < test.started_at:
                        continue  # stragglers, judged before the settings changed
                    test.ended_at = members[0].received_at
                    done.ended.append(test)
                with self._database.read() as session:
                    calibration = _calibration(session, members[0])
                test = tests[product_id] = RunningTest.begin(members[0], calibration)
            if test.extend(members):
                done.raised.append(test)

    def _save(self, tests: Iterable[RunningTest]) -> None:
        """Save tests that went on, with the cursor: in one transaction, so that they agree."""
        with self._database.write() as session:
            for one in tests:
                if one.id is None or one.ended_at is not None or one.tested != one.saved:
                    one.save(session)
            self._arrivals.save(session)

    def _announce(self, test: RunningTest) -> None:
        with self._database.write() as session:
            name = session.get_one(Product, test.product_id).name
            direction = test.test.evidence.direction if test.test is not None else None
            part_id = test.alarm.id if test.alarm is not None else None
            audit.record(session, None, "drift.alarm", name, direction=direction, part=part_id)
        values = {"product_id": test.product_id, "product": name, "on": True}
        values |= {"kind": "drift", "direction": direction, "part_id": part_id}
        self._events.publish(Event("alarm", values))


def create_service(station: Station) -> DriftWatch:
    """Return the service that tests the parts of a station."""
    return DriftWatch(station.database, station.events)


def drift_of(station: Station) -> DriftWatch:
    """Return the service of a station."""
    return cast(DriftWatch, station.services[NAME])


@dataclass
class _Done:
    """Tests that raised their alarm, or ended, during one step."""

    raised: list[RunningTest] = field(default_factory=list)
    ended: list[RunningTest] = field(default_factory=list)


def _kind(part: Arrived) -> tuple[str, str]:
    return part.model, part.settings


def _restored(session: Session, row: DriftTestRow) -> RunningTest:
    first = Arrived(0, row.product_id, row.started_at, 0.0, row.model, row.settings)
    return RunningTest.restore(row, _calibration(session, first))


def _calibration(session: Session, part: Arrived) -> Calibration | None:
    """Return the thresholds of the version that judged a part; None if none is noted."""
    for version in versions_of(session, part.product_id, most=1000):
        found = settings_of(version).calibration_named(part.settings)
        if found is not None:
            return found
    return None
