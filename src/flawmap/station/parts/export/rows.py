"""Rows of an export: parts in short transactions, one page after the other, oldest first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select

from flawmap.station.database.engine import Database
from flawmap.station.database.tables import Part, Product, User
from flawmap.station.parts.find import PartFilter, selection

_PAGE = 2000  # parts in memory at any time

COLUMNS: dict[str, type] = {
    "id": int,
    "product": str,
    "received_at": str,
    "number": str,
    "line": str,
    "source": str,
    "verdict": str,
    "score": float,
    "p_value": float,
    "defects": int,
    "largest_area": int,
    "error": str,
    "decision": str,
    "decided_at": str,
    "decided_by": str,
    "image": str,
    "width": int,
    "height": int,
    "has_image": bool,
    "model": str,
    "settings": str,
    "waited_ms": float,
    "total_ms": float,
    "note": str,
    "fields": dict,
}
"""Columns of tables and the types of their values; `fields` is an object of texts."""


def pages(database: Database, wanted: PartFilter) -> Iterator[Sequence[Part]]:
    """Yield parts in the order of their ids; parts that arrive meanwhile may be among them."""
    last = -1
    query = selection(wanted).order_by(Part.id).limit(_PAGE)
    while True:
        with database.read() as session:
            parts = session.scalars(query.where(Part.id > last)).all()
        if not parts:
            return
        yield parts
        last = parts[-1].id


def tables(database: Database, wanted: PartFilter) -> Iterator[list[dict[str, Any]]]:
    """Yield parts as lists of rows with :data:`COLUMNS`."""
    products, people = _names(database)
    for parts in pages(database, wanted):
        yield [_row(part, products, people) for part in parts]


def _names(database: Database) -> tuple[dict[int, str], dict[int, str]]:
    with database.read() as session:
        products = session.execute(select(Product.id, Product.name)).all()
        people = session.execute(select(User.id, User.name)).all()
        return {row.id: row.name for row in products}, {row.id: row.name for row in people}


def _row(part: Part, products: dict[int, str], people: dict[int, str]) -> dict[str, Any]:
    own = {name: getattr(part, name) for name in COLUMNS if hasattr(part, name)}
    return own | {
        "product": products[part.product_id],
        "received_at": moment_text(part.received_at),
        "decided_at": None if part.decided_at is None else moment_text(part.decided_at),
        "decided_by": None if part.decided_by is None else people.get(part.decided_by),
    }


def moment_text(moment: int) -> str:
    """Return a moment as ISO 8601 in UTC, to the microsecond.

    >>> moment_text(0)
    '1970-01-01T00:00:00.000000Z'
    """
    seconds, rest = divmod(moment, 1_000_000)
    whole = datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest)
    return whole.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
