"""Rows of an export: parts in short transactions, one page after the other, oldest first."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row, select

from flawmap.station.database.engine import Database
from flawmap.station.database.tables import Part, Product, User
from flawmap.station.parts.filters import PartFilter
from flawmap.station.parts.find import matching_ids

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


def ids_of(database: Database, wanted: PartFilter) -> array[int]:
    """Return the ids of the parts to export: those that are there now."""
    with database.read() as session:
        return matching_ids(session, wanted)


def pages(
    database: Database, ids: array[int], columns: Sequence[Any]
) -> Iterator[Sequence[Row[Any]]]:
    """Yield columns of parts in the order of their ids."""
    query = select(*columns).order_by(Part.id)
    for first in range(0, len(ids), _PAGE):
        chosen = ids[first : first + _PAGE]
        whole = chosen[-1] - chosen[0] == len(chosen) - 1
        among = Part.id.between(chosen[0], chosen[-1]) if whole else Part.id.in_(chosen)
        with database.read() as session:
            rows = session.execute(query.where(among)).all()
        yield rows


def tables(database: Database, ids: array[int]) -> Iterator[list[dict[str, Any]]]:
    """Yield parts as lists of rows with :data:`COLUMNS`."""
    products, people = _names(database)
    own = [getattr(Part, name) for name in COLUMNS if hasattr(Part, name)]
    for rows in pages(database, ids, [*own, Part.product_id]):
        yield [_row(row, products, people) for row in rows]


def _names(database: Database) -> tuple[dict[int, str], dict[int, str]]:
    with database.read() as session:
        products = session.execute(select(Product.id, Product.name)).all()
        people = session.execute(select(User.id, User.name)).all()
        return {row.id: row.name for row in products}, {row.id: row.name for row in people}


def _row(row: Row[Any], products: dict[int, str], people: dict[int, str]) -> dict[str, Any]:
    return row._asdict() | {
        "product": products[row.product_id],
        "received_at": moment_text(row.received_at),
        "decided_at": None if row.decided_at is None else moment_text(row.decided_at),
        "decided_by": None if row.decided_by is None else people.get(row.decided_by),
    }


def moment_text(moment: int) -> str:
    """Return a moment as ISO 8601 in UTC, to the microsecond.

    >>> moment_text(0)
    '1970-01-01T00:00:00.000000Z'
    """
    seconds, rest = divmod(moment, 1_000_000)
    whole = datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest)
    return whole.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
