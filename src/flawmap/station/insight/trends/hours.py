"""Service that counts parts by the hour, so that a page over a year need not read them all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from flawmap.station.context import Station
from flawmap.station.database.engine import Database
from flawmap.station.database.tables import HourCount, Part
from flawmap.station.insight.arrivals import Arrivals
from flawmap.station.insight.looking import Looking
from flawmap.station.insight.ranges import HOUR
from flawmap.station.insight.sampling import is_sampled
from flawmap.station.insight.trends.bins import merge, pack

NAME = "hours"
_CHUNK = 10_000
_COLUMNS = (
    Part.product_id, Part.received_at, Part.line, Part.verdict, Part.score, Part.defects,
    Part.total_ms, Part.image,
)  # fmt: skip
_NUMBERS = ("good", "review", "reject", "errors", "defects", "sampled")
_Key = tuple[int, int, str]


class HourCounter(Looking):
    """Adds parts to the numbers of their hour, each exactly once, about a second after they came.

    It works apart from the intake, which so loses no time; numbers and place are stored in one
    transaction.
    """

    name = NAME

    def __init__(self, database: Database) -> None:
        super().__init__()
        self._database = database
        self._arrivals = Arrivals(database, self.name, _COLUMNS, _CHUNK)

    def step(self) -> bool:
        """Count the parts that arrived since."""
        before = self._arrivals.place
        rows, full = self._arrivals.read()
        if not rows:
            return full
        try:
            with self._database.write() as session:
                for key, members in _grouped(rows).items():
                    _add(session, key, members)
                self._arrivals.save(session)
        except BaseException:
            self._arrivals.place = before
            raise
        return full


def create_service(station: Station) -> HourCounter:
    """Return the service that counts the parts of a station."""
    return HourCounter(station.database)


def _grouped(rows: Sequence[Any]) -> dict[_Key, list[Any]]:
    groups: dict[_Key, list[Any]] = {}
    for row in rows:
        hour = row.received_at - row.received_at % HOUR
        groups.setdefault((row.product_id, hour, row.line or ""), []).append(row)
    return groups


def _add(session: Session, key: _Key, rows: Sequence[Any]) -> None:
    product_id, hour, line = key
    found = session.get(HourCount, {"product_id": product_id, "hour": hour, "line": line})
    if found is None:
        numbers = dict.fromkeys(_NUMBERS, 0)
        own = {"product_id": product_id, "hour": hour, "line": line}
        found = HourCount(**own, **numbers, scores=b"", latency=b"")
        session.add(found)
    verdicts = [row.verdict or "errors" for row in rows]
    for word in ("good", "review", "reject", "errors"):
        setattr(found, word, getattr(found, word) + verdicts.count(word))
    found.sampled += sum(bool(row.verdict) and is_sampled(row.image) for row in rows)
    found.defects += sum(row.defects or 0 for row in rows)
    scores = [row.score for row in rows if row.score is not None]
    latency = [row.total_ms for row in rows if row.total_ms is not None and row.verdict]
    found.scores = merge([found.scores, pack(np.array(scores, np.float64))])
    found.latency = merge([found.latency, pack(np.array(latency, np.float64))])
