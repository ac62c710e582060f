"""Folder of inspection records in Parquet, written part by part, that a later call continues."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Self

from flawmap.data.urls import is_url
from flawmap.errors import FlawmapError, UsageError
from flawmap.inspection.record import InspectionRecord
from flawmap.utils.extras import need
from flawmap.utils.files import check_writable, foreign, make_folder, replacing, sweep
from flawmap.utils.locks import FolderLock

_ROWS = 1000  # records per part at most
_SECONDS = 60.0  # between parts at most: what a killed process has to do again
_PART = re.compile(r"part-(\d{5,})\.parquet")
_IDENTITY = ("model", "settings", "precision")
_TEXTS = (
    "path", "error", "verdict", "run", "precision", "backend", "region", "device", "model",
    "settings", "image",
)  # fmt: skip


class Done(NamedTuple):
    """How often each path has a record, and the paths of those without the output images asked for.

    A record with an error needs no output images.
    """

    records: Counter[str]
    without_output: set[str]


class PartsFolder:
    """Records in files ``part-00000.parquet``, ... of up to 1,000 rows, in the order of writing.

    A part has a temporary name until it is complete, so each file in the folder is whole. A lock
    keeps other processes from writing. Records of another model or other settings are deleted
    when the first new part is complete. Raises UsageError if the folder holds anything else,
    FlawmapError if it cannot be written or another process writes it.
    """

    def __init__(self, folder: Path) -> None:
        need("pyarrow.parquet", "Parquet", "cluster")
        self.folder = folder
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"{folder} is a file: give a folder as --parquet.")
        check_writable(folder)
        self._lock = FolderLock(make_folder(folder))
        try:
            if others := [name for name in foreign(folder) if not _PART.fullmatch(name)]:
                raise UsageError(
                    f"{folder} holds {others[0]}, which is no part of results: give another folder."
                )
            sweep(folder)
        except BaseException:
            self._lock.release()
            raise
        self._rows: list[dict[str, Any]] = []
        self._obsolete: list[Path] = []
        self._since = time.monotonic()
        self._next = 1 + max((_number(part) for part in part_files(folder)), default=-1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Write the records that are not yet in a part, however the block ends."""
        try:
            self._write_part()
        finally:
            self._lock.release()

    def done(self, identity: tuple[str, str, str], out: str | None = None) -> Done | None:
        """Return the paths that have a record of this model, these settings and precision.

        None if the folder holds records of others: all of its parts are then obsolete. ``out``: how
        the file of each map begins if the call's output images are there already; None if it writes
        none.
        """
        found = Done(Counter(), set())
        parts = part_files(self.folder)
        for part in parts:
            rows = _read(part, ["path", "error", "map", *_IDENTITY])
            if any(tuple(row[name] for name in _IDENTITY) != identity for row in rows):
                self._obsolete = parts
                return None
            found.records.update(row["path"] for row in rows)
            if out is not None:
                found.without_output.update(
                    row["path"] for row in rows if not _has_output(row, stored_text(out))
                )
        return found

    def write(self, record: InspectionRecord) -> None:
        """Append a record; it is in a file at the latest when the block ends.

        Its path is stored as :func:`stored_path` returns it.
        """
        self._rows.append(_row(record))
        if len(self._rows) >= _ROWS or time.monotonic() - self._since > _SECONDS:
            self._write_part()

    def _write_part(self) -> None:
        if not self._rows:
            return
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.Table.from_pylist(self._rows, schema=_schema())
        with replacing(self.folder / f"part-{self._next:05}.parquet") as temporary:
            pq.write_table(table, temporary)
            for part in self._obsolete:  # before the new name, so that the two are never mixed
                part.unlink(missing_ok=True)
        self._obsolete, self._rows = [], []
        self._next += 1
        self._since = time.monotonic()


def part_files(folder: Path) -> list[Path]:
    """Return the parts in a folder, in the order of writing."""
    return sorted((one for one in folder.iterdir() if _PART.fullmatch(one.name)), key=_number)


def read_parts(folder: Path) -> Iterator[InspectionRecord]:
    """Yield the records of all parts; raise FlawmapError if there is none or one is damaged."""
    parts = part_files(folder)
    if not parts:
        raise FlawmapError(f"{folder} holds no results: give what predict --parquet wrote.")
    for part in parts:
        for row in _read(part, None):
            try:
                yield InspectionRecord.from_json(json.dumps(_given(row)))
            except FlawmapError as error:
                raise type(error)(f"Cannot read {part}. {error}") from error


def stored_path(source: str) -> str:
    """Return the path or URL of an image as parts name it, from whichever folder it is given."""
    return stored_text(source if is_url(source) else str(Path(source).absolute()))


def stored_text(text: str) -> str:
    """Return a text as Parquet stores it: bytes of file names that are no UTF-8 become escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


def _has_output(row: dict[str, Any], out: str) -> bool:
    stored = row["map"]
    return row["error"] is not None or (stored is not None and stored["file"].startswith(out))


def _read(part: Path, columns: list[str] | None) -> list[dict[str, Any]]:
    parquet = need("pyarrow.parquet", "Parquet", "cluster")
    try:
        rows: list[dict[str, Any]] = parquet.read_table(part, columns=columns).to_pylist()
        if columns is not None and any(row.keys() != set(columns) for row in rows):
            raise ValueError("it has other columns")
    except (OSError, ValueError) as error:
        raise FlawmapError(
            f"{part} is not what predict wrote: remove it, or give another folder ({error})."
        ) from error
    return rows


def _row(record: InspectionRecord) -> dict[str, Any]:
    row = record.to_dict()
    if "path" in row:
        row["path"] = stored_path(row["path"])
    if "error" in row:
        row["error"] = stored_text(row["error"])
    if "map" in row:
        row["map"] = row["map"] | {"file": stored_text(row["map"]["file"])}
    return row


def _given(value: Any) -> Any:
    """Leave out all fields without a value, as records do."""
    if isinstance(value, dict):
        return {key: _given(one) for key, one in value.items() if one is not None}
    return [_given(one) for one in value] if isinstance(value, list) else value


def _schema() -> Any:
    import pyarrow as pa

    real, whole = pa.float64(), pa.int64()
    defect = {"box": pa.list_(whole), "area": whole}
    defect |= dict.fromkeys(("peak", "length", "mean", "area_mm2", "length_mm"), real)
    stored = {"file": pa.string(), "size": pa.list_(whole), "score": real, "sha256": pa.string()}
    return pa.schema(
        {"format": whole}
        | dict.fromkeys(_TEXTS, pa.string())
        | dict.fromkeys(("score", "p_value", "milliseconds"), real)
        | {"defects": pa.list_(pa.struct(defect)), "map": pa.struct(stored)}
    )


def _number(part: Path) -> int:
    found = _PART.fullmatch(part.name)
    assert found is not None
    return int(found[1])
