"""Files that list images: text, a path or URL a line, or Parquet with a column of them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from flawmap.data.urls import check_protocols, is_url, read_url
from flawmap.errors import FlawmapError, UsageError
from flawmap.utils.extras import need
from flawmap.utils.files import read_regular

_MOST_BYTES = 2**32
_COLUMN = "path"


def read_list(file: str) -> list[str]:
    """Return the paths and URLs that a list names, in order; relative paths are as for arguments.

    Parquet is recognised by its content: the column ``path`` is read, or the only one of strings.
    In text, empty lines are skipped. ``file`` may be a URL itself. Raises UsageError if there is no
    such file or column, FlawmapError if it cannot be read or lists nothing.
    """
    data = _content(file)
    found = _parquet(file, data) if data.startswith(b"PAR1") else _text(data)
    if not found:
        raise FlawmapError(f"{file} lists no images: give a path or URL a line.")
    return found


def _content(file: str) -> bytes:
    if is_url(file):
        check_protocols([file])
        return read_url(file, _MOST_BYTES)
    try:
        return read_regular(Path(file), _MOST_BYTES)
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(f"Cannot read the list {file}: {reason}. Check its name.") from error


def _text(data: bytes) -> list[str]:
    lines = data.decode("utf-8-sig", "surrogateescape").split("\n")
    return [line for line in (line.removesuffix("\r") for line in lines) if line.strip()]


def _parquet(file: str, data: bytes) -> list[str]:
    parquet = need("pyarrow.parquet", "A list in Parquet", "cluster")
    try:
        opened = parquet.ParquetFile(io.BytesIO(data))
        column = _column(file, opened.schema_arrow)
        found: list[str | None] = opened.read([column])[column].to_pylist()
    except (OSError, ValueError) as error:  # errors of pyarrow are ValueErrors
        raise FlawmapError(f"Cannot read the list {file}: {error}") from error
    paths = [one for one in found if one]
    if len(paths) < len(found):
        raise FlawmapError(f"{file}: {len(found) - len(paths)} row(s) have no {column}.")
    return paths


def _column(file: str, schema: Any) -> str:
    texts: list[str] = [
        field.name for field in schema if str(field.type) in ("string", "large_string")
    ]
    if _COLUMN in texts:
        return _COLUMN
    if len(texts) != 1:
        raise UsageError(
            f"{file} has {len(texts)} columns of strings, and none is named {_COLUMN}: name the "
            f"column of the images {_COLUMN}."
        )
    return texts[0]
