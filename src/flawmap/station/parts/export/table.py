"""Export of parts as a table: CSV, or Parquet if pyarrow is installed."""

from __future__ import annotations

import csv
import io
import json
from array import array
from collections.abc import Iterator
from itertools import islice
from typing import Any

from flawmap.errors import FlawmapError
from flawmap.station.database.engine import Database
from flawmap.station.parts.export.rows import COLUMNS, tables

_GROUP = 10  # pages of rows in a row group of Parquet
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # how a spreadsheet recognises one


def csv_lines(database: Database, ids: array[int]) -> Iterator[bytes]:
    """Yield a CSV file (RFC 4180, UTF-8) in pieces, with a heading.

    A text that a spreadsheet would run as a formula gets an apostrophe in front.
    """
    yield (",".join(COLUMNS) + "\r\n").encode()
    for rows in tables(database, ids):
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerows([_cell(row[name]) for name in COLUMNS] for row in rows)
        yield text.getvalue().encode()


def parquet_bytes(database: Database, ids: array[int]) -> Iterator[bytes]:
    """Yield a Parquet file in pieces. Raises FlawmapError if pyarrow is not installed."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ModuleNotFoundError as error:
        raise FlawmapError(
            "Parquet needs pyarrow: pip install pyarrow beside flawmap, or export CSV."
        ) from error
    types = {int: pa.int64(), float: pa.float64(), bool: pa.bool_(), str: pa.string()}
    schema = pa.schema([(name, types.get(kind, pa.string())) for name, kind in COLUMNS.items()])
    return _parquet(pa, pq, schema, database, ids)


def _parquet(pa: Any, pq: Any, schema: Any, database: Database, ids: array[int]) -> Iterator[bytes]:
    pieces = _Pieces()
    with pq.ParquetWriter(pieces, schema, compression="zstd") as writer:
        waiting = tables(database, ids)
        while group := [_arrow(pa, schema, rows) for rows in islice(waiting, _GROUP)]:
            writer.write_table(pa.concat_tables(group).combine_chunks())
            yield from pieces.take()
    yield from pieces.take()


def _arrow(pa: Any, schema: Any, rows: list[dict[str, Any]]) -> Any:
    flat = [{**row, "fields": json.dumps(row["fields"])} for row in rows]
    return pa.Table.from_pylist(flat, schema)


class _Pieces(io.RawIOBase):
    """File that is written from front to back, and handed on before it is complete."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._written = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._written

    def write(self, data: Any) -> int:
        self._pieces.append(bytes(data))
        self._written += len(self._pieces[-1])
        return len(self._pieces[-1])

    def take(self) -> list[bytes]:
        """Return what was written since the last call."""
        taken, self._pieces = self._pieces, []
        return taken


def _cell(value: Any) -> Any:
    if isinstance(value, dict):
        value = json.dumps(value, ensure_ascii=False)
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value
