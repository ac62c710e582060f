"""Reading of parts in the order in which they were stored, by services that never miss one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from flawmap.station.database.engine import Database
from flawmap.station.database.tables import Cursor, Part

Chunk = tuple[Sequence[Any], bool]
"""Rows of parts, and whether there may be more at once."""


class Arrivals:
    """Parts that a service has not read yet; its place is stored under `name` by :meth:`save`.

    PostgreSQL may show a part after one with a higher id: there, a part is read only once the
    highest id of one look before is reached.
    """

    def __init__(self, database: Database, name: str, columns: Sequence[Any], most: int) -> None:
        self._database, self._name, self._most = database, name, most
        self._query = select(Part.id, *columns)
        self.place: int | None = None
        self._seen = 0

    def load(self) -> None:
        """Go on where the place was saved."""
        if self.place is None:
            with self._database.read() as session:
                cursor = session.get(Cursor, self._name)
            self.place = self._seen = 0 if cursor is None else cursor.part_id

    def read(self) -> Chunk:
        """Return the next parts, and move on behind them."""
        self.load()
        place = self.place or 0
        with self._database.read() as session:
            highest = session.scalar(select(func.max(Part.id))) or 0
            reached = highest if self._database.is_sqlite else self._seen
            query = self._query.where(Part.id > place, Part.id <= reached).order_by(Part.id)
            rows = session.execute(query.limit(self._most)).all()
        full = len(rows) == self._most
        self._seen = highest
        self.place = rows[-1].id if full else max(place, reached)
        return rows, full

    def save(self, session: Session) -> None:
        """Store the place in the transaction that stores what was concluded."""
        session.merge(Cursor(name=self._name, part_id=self.place or 0))
