"""Reading of parts in the order in which they were stored, by services that never miss one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Row, select, text
from sqlalchemy.orm import Session

from flawmap.station.database.engine import Database
from flawmap.station.database.tables import Cursor, Part

Chunk = tuple[Sequence[Any], bool]
"""Rows of parts, and whether there may be more at once."""
_NOW = text(
    "SELECT (SELECT max(id) FROM parts), pg_snapshot_xmin(now)::text::bigint, "
    "pg_snapshot_xmax(now)::text::bigint FROM pg_current_snapshot() AS now"
)


class _Moment(NamedTuple):
    """Highest id that PostgreSQL showed, and the numbers of the transactions then under way."""

    highest: int
    first_open: int  # those below have ended
    next: int


class Arrivals:
    """Parts that a service has not read yet; its place is stored under `name` by :meth:`save`.

    PostgreSQL may show a part after one with a higher id, if its transaction ends later. Where an
    id is missing, parts behind it are therefore read only after all transactions have ended that
    were under way when it was first missed: then it belongs to none.
    """

    def __init__(self, database: Database, name: str, columns: Sequence[Any], most: int) -> None:
        self._database, self._name, self._most = database, name, most
        self._query = select(Part.id, *columns).order_by(Part.id).limit(most)
        self.place: int | None = None
        self._complete = 0  # nothing arrives any more with this id or a lower one
        self._missed: _Moment | None = None

    def load(self) -> None:
        """Go on where the place was saved."""
        if self.place is None:
            with self._database.read() as session:
                cursor = session.get(Cursor, self._name)
            self.place = 0 if cursor is None else cursor.part_id

    def read(self) -> Chunk:
        """Return the next parts, and move on behind them."""
        self.load()
        place = self.place or 0
        with self._database.read() as session:
            moment = None if self._database.is_sqlite else self._look(session)
            rows = session.execute(self._query.where(Part.id > place)).all()
        full = len(rows) == self._most
        if moment is not None:
            certain = self._certain(rows, place)
            if len(certain) < len(rows):
                self._missed = self._missed or moment
                rows, full = certain, False
        self.place = rows[-1].id if rows else place
        return rows, full

    def _look(self, session: Session) -> _Moment:
        """Return where PostgreSQL is, and learn whether what was missed may still arrive."""
        highest, first_open, following = session.execute(_NOW).one()
        if self._missed is not None and first_open >= self._missed.next:
            self._complete, self._missed = self._missed.highest, None
        return _Moment(highest or 0, first_open, following)

    def _certain(self, rows: Sequence[Row[Any]], place: int) -> Sequence[Row[Any]]:
        """Return the rows before the first id that is missing and may still arrive."""
        for index, row in enumerate(rows):
            if row.id != place + 1 and row.id > self._complete:
                return rows[:index]
            place = row.id
        return rows

    def save(self, session: Session) -> None:
        """Store the place in the transaction that stores what was concluded."""
        session.merge(Cursor(name=self._name, part_id=self.place or 0))
