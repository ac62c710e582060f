"""Readers for the CSV and JSON files in which data sets list their images."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Container, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from flawmap.data.listing.images import Folder
from flawmap.data.listing.names import Reason
from flawmap.data.samples import DatasetError, plural
from flawmap.utils.files import read_regular
from flawmap.utils.printable import printable

_MOST = 2**28  # bytes


def read_table(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Read the rows of a CSV file that has at least these columns.

    Raises DatasetError if it cannot be read or lacks one.
    """
    reader = csv.DictReader(io.StringIO(_text(path)))
    try:
        rows = [{str(k).strip(): v or "" for k, v in row.items() if k} for row in reader]
    except csv.Error as error:
        raise DatasetError(f"{path}: not a CSV file ({error}); use the data set's own") from error
    missing = [
        c for c in columns if c not in [str(name).strip() for name in reader.fieldnames or ()]
    ]
    if missing:
        raise DatasetError(f"{path}: column {missing[0]} is missing; use the data set's own file")
    return rows


def read_object(path: Path) -> dict[str, Any]:
    """Read the object in a JSON file; raise DatasetError if there is none."""
    try:
        value = json.loads(_text(path))
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path}: not JSON ({error}); use the data set's own file") from error
    if not isinstance(value, dict):
        raise DatasetError(f"{path}: not a JSON object; use the data set's own file")
    return value


def path_below(root: Path, text: str, table: Path) -> Path:
    """Return a table's path below ``root``; raise DatasetError if it leads out of ``root``."""
    relative = PurePosixPath(text.strip().replace("\\", "/"))
    if relative.is_absolute() or ".." in relative.parts or not relative.parts or "\0" in text:
        raise DatasetError(f"{table}: names {printable(text) or 'nothing'} as an image; correct it")
    return root / relative


def missing_note(missing: Sequence[Path], table: Path) -> tuple[str, ...]:
    """Return a note on files that a table names but that do not exist."""
    if not missing:
        return ()
    return (
        f"{plural(len(missing), 'file(s)')} named in {table.name} not there and left out, such as "
        f"{printable(missing[0])}",
    )


def unnamed_note(root: Folder, named: Container[Path], table: Path) -> tuple[str, ...]:
    """Return a note on images of parts below `root` that the table does not name."""
    places = root.all_below(lambda below: Reason.COMPANION if below.holds_masks else None)
    unnamed = [path for place in places for path in place.images if path not in named]
    if not unnamed:
        return ()
    return (
        f"{plural(len(unnamed), 'image(s)')} left out, such as {printable(unnamed[0])}: "
        f"{table.name} does not name them",
    )


def _text(path: Path) -> str:
    try:
        return read_regular(path, _MOST).decode("utf-8-sig")
    except OSError as error:
        reason = error.strerror or error
        raise DatasetError(f"{path}: cannot be read ({reason})") from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: not UTF-8 text; use the data set's own file") from error
