"""What the live page shows: the last parts, the last verdict of each line, rates and counts."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import Row, func, select
from sqlalchemy.orm import Session

from flawmap.station.database.engine import Database
from flawmap.station.database.tables import Part, Product
from flawmap.station.database.tables.base import now

SHOWN = 24  # tiles
_LOOKED_AT = 200  # last parts among which each line's last one is searched
_SECOND = 1_000_000  # microseconds
_MOST = 1_000_000  # parts that are counted
_FRESH = 1.0  # seconds for which counts are not made again, however many pages are open
VERDICTS = ("good", "review", "reject", "error")


@dataclass(frozen=True)
class Lamp:
    """The last part of a product on a line."""

    product: str
    line: str | None
    part: Part


def newest(session: Session, product_id: int | None, after: int = 0) -> Sequence[Part]:
    """Return the last parts, the newest first; only those with a higher id than `after`."""
    query = select(Part).order_by(Part.received_at.desc(), Part.id.desc())
    if product_id is not None:
        query = query.where(Part.product_id == product_id)
    return [part for part in session.scalars(query.limit(SHOWN)) if part.id > after]


def lamps(session: Session, product_id: int | None) -> list[Lamp]:
    """Return the last part of each product and line, those of one product in the lines' order."""
    products = select(Product).where(Product.retired_at.is_(None)).order_by(Product.name)
    if product_id is not None:
        products = products.where(Product.id == product_id)
    found = []
    for product in session.scalars(products):
        found += _lamps_of(session, product)
    return found


def _lamps_of(session: Session, product: Product) -> list[Lamp]:
    last: dict[str | None, Part] = {}
    query = select(Part).where(Part.product_id == product.id)
    query = query.order_by(Part.received_at.desc(), Part.id.desc()).limit(_LOOKED_AT)
    for part in session.scalars(query):
        last.setdefault(part.line, part)
    return [Lamp(product.name, line, last[line]) for line in sorted(last, key=lambda x: x or "")]


@dataclass(frozen=True)
class Counts:
    """Parts of the last hour by verdict, and of the last minute: those of each product."""

    hour: dict[int, dict[str, int]] = field(default_factory=dict)
    minute: dict[int, int] = field(default_factory=dict)

    def verdicts(self, product_id: int | None) -> dict[str, int]:
        """Return the hour's parts by verdict, of one product or of all."""
        chosen = [one for key, one in self.hour.items() if product_id in (None, key)]
        return {verdict: sum(one.get(verdict, 0) for one in chosen) for verdict in VERDICTS}

    def per_minute(self, product_id: int | None) -> int:
        """Return the parts of the last minute, of one product or of all."""
        return sum(number for key, number in self.minute.items() if product_id in (None, key))


class RecentCounts:
    """Counts of the last hour, made at most once a second whatever the number of pages."""

    def __init__(self, database: Database) -> None:
        self._database, self._lock = database, threading.Lock()
        self._until, self._counts = 0.0, Counts()

    def get(self) -> Counts:
        """Return counts that are at most a second old."""
        with self._lock:
            if time.monotonic() >= self._until:
                with self._database.read() as session:
                    self._counts = Counts(_last_hour(session), _last_minute(session))
                self._until = time.monotonic() + _FRESH
            return self._counts


def _last_hour(session: Session) -> dict[int, dict[str, int]]:
    found: dict[int, dict[str, int]] = {}
    for product, verdict, number in _counted(session, 3600 * _SECOND):
        found.setdefault(product, {})[verdict or "error"] = number
    return found


def _last_minute(session: Session) -> dict[int, int]:
    found: Counter[int] = Counter()
    for product, _, number in _counted(session, 60 * _SECOND):
        found[product] += number
    return found


def _counted(session: Session, microseconds: int) -> Sequence[Row[int, str | None, int]]:
    """Return product, verdict and number of the parts of the last so many microseconds.

    The inner query with its limit makes databases take the index by time: SQLite would otherwise
    read all parts in the order of the products.
    """
    inner = select(Part.product_id, Part.verdict).where(Part.received_at >= now() - microseconds)
    recent = inner.order_by(Part.received_at.desc()).limit(_MOST).subquery()
    columns = (recent.c.product_id, recent.c.verdict)
    return session.execute(select(*columns, func.count()).group_by(*columns)).all()
