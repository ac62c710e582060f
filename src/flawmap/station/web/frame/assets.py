"""Styles, scripts and icons of the pages: held in memory, compressed once, cached by browsers.

A name from a request is only looked up in a dictionary: it never becomes a path.
"""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from functools import cache
from pathlib import Path
from typing import NamedTuple

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import Response

router = APIRouter()
_FOLDER = Path(__file__).parents[1] / "static"
_TEXT = (".css", ".js", ".svg")
_FOR_EVER, _ASK_AGAIN = "public, max-age=31536000, immutable", "no-cache"


class Asset(NamedTuple):
    """One file: its bytes, the same compressed (if that is shorter), type and digest."""

    data: bytes
    compressed: bytes | None
    type: str
    digest: str


def asset_url(name: str) -> str:
    """Return the URL of a file in `web/static`; it changes with the file's content."""
    return f"/static/{name}?v={_assets()[name].digest}"


@router.get("/static/{name:path}")
def static_file(request: Request, name: str) -> Response:
    """Send a file of `web/static`; a browser keeps one whose URL names its content."""
    asset = _assets().get(name)
    if asset is None:
        raise HTTPException(404, "There is no such file.")
    headers = {
        "ETag": f'"{asset.digest}"',
        "Vary": "Accept-Encoding",
        "Cache-Control": _FOR_EVER if request.query_params.get("v") == asset.digest else _ASK_AGAIN,
    }
    if headers["ETag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    data = asset.data
    if asset.compressed is not None and "gzip" in request.headers.get("accept-encoding", ""):
        data, headers["Content-Encoding"] = asset.compressed, "gzip"
    return Response(data, media_type=asset.type, headers=headers)


@cache
def _assets() -> dict[str, Asset]:
    files = (path for path in _FOLDER.rglob("*") if path.is_file())
    return {path.relative_to(_FOLDER).as_posix(): _asset(path) for path in files}


def _asset(path: Path) -> Asset:
    data = path.read_bytes()
    compressed = gzip.compress(data, 9, mtime=0) if path.suffix in _TEXT else None
    if path.suffix == ".js":
        kind = "text/javascript"
    else:
        kind = mimetypes.types_map.get(path.suffix, "application/octet-stream")
    return Asset(data, compressed, kind, hashlib.sha256(data).hexdigest()[:12])
