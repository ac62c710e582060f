"""Export of parts as a table: CSV, or Parquet if pyarrow is installed."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections.abc import Iterator
from typing import Any

from flawmap.errors import FlawmapError
from flawmap.station.database.engine import Database
from flawmap.station.parts.export.rows import COLUMNS, tables
from flawmap.station.parts.find import PartFilter

_CHUNK = 2**20  # bytes
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # how a spreadsheet recognises one


def csv_lines(database: Database, wanted: PartFilter) -> Iterator[bytes]:
    """Yield a CSV file (RFC 4180, UTF-8) in pieces, with a heading.

    A text that a spreadsheet would run as a formula gets an apostrophe in front.
    """
    yield (",".join(COLUMNS) + "\r\n").encode()
    for rows in tables(database, wanted):
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerows([_cell(row[name]) for name in COLUMNS] for row in rows)
        yield text.getvalue().encode()


def parquet_bytes(database: Database, wanted: PartFilter) -> Iterator[bytes]:
    """Yield a Parquet file in pieces; it is complete on disk before the first one.

    Raises FlawmapError if pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ModuleNotFoundError as error:
        raise FlawmapError(
            "Parquet needs pyarrow: pip install pyarrow beside flawmap, or export CSV."
        ) from error
    types = {int: pa.int64(), float: pa.float64(), bool: pa.bool_(), str: pa.string()}
    schema = pa.schema([(name, types.get(kind, pa.string())) for name, kind in COLUMNS.items()])
    return _parquet(pa, pq, schema, database, wanted)


def _parquet(
    pa: Any, pq: Any, schema: Any, database: Database, wanted: PartFilter
) -> Iterator[bytes]:
    with tempfile.TemporaryFile() as file:
        with pq.ParquetWriter(file, schema, compression="zstd") as writer:
            for rows in tables(database, wanted):
                flat = [row | {"fields": json.dumps(row["fields"])} for row in rows]
                writer.write_table(pa.Table.from_pylist(flat, schema))
        file.seek(0)
        while piece := file.read(_CHUNK):
            yield piece


def _cell(value: Any) -> Any:
    if isinstance(value, dict):
        value = json.dumps(value, ensure_ascii=False)
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value
