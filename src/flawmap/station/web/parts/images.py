"""Routes of a part's image, its thumbnail and its heat map, for pages."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import FileResponse, Response

from flawmap.data.image_io.decoding import ImageError, is_deep
from flawmap.data.image_io.images import encode_png, read_image
from flawmap.errors import FlawmapError
from flawmap.station.context import Station, StationOf
from flawmap.station.database.tables import Part
from flawmap.station.security.callers import Reading
from flawmap.station.web.parts.evidence import judging_of
from flawmap.station.web.parts.heat import LARGEST, heat_png
from flawmap.station.web.parts.thumbnails import SIDE, thumbnail

router = APIRouter()
_SHOWN_AS_STORED = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".bmp": "image/bmp",
}
# What a client sent is shown as an image and as nothing else, even if opened on its own.
_HARMLESS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
}
_KEPT = {"Cache-Control": "private, max-age=86400"}
_NOTHING = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 256 256" width="256" height="256">'
    '<rect width="256" height="256" fill="#8a93a3"/><path d="M88 88l80 80m0-80l-80 80" '
    'stroke="#fff" stroke-width="12" stroke-linecap="round"/></svg>'
)


@router.get("/parts/{part_id}/thumbnail")
def part_thumbnail(
    request: Request, station: StationOf, _caller: Reading, part_id: int
) -> Response:
    """Send the image at 256 pixels; a cross where the image cannot be decoded."""
    part = _part(station, part_id)
    digest, suffix = _image(part)

    def make() -> bytes:
        return thumbnail(station.files, digest, suffix)

    try:
        return _cached(request, f"{digest[:32]}-t", "image/webp", make)
    except (ImageError, OSError):
        return Response(_NOTHING, media_type="image/svg+xml", headers={"Cache-Control": "no-store"})


@router.get("/parts/{part_id}/image")
def part_image(request: Request, station: StationOf, _caller: Reading, part_id: int) -> Response:
    """Send the image as it was received, or as PNG where browsers cannot show it."""
    part = _part(station, part_id)
    digest, suffix = _image(part)
    path = station.files.image_path(digest, suffix)
    if not path.is_file():
        raise HTTPException(404, "The image of this part is no longer there.")
    try:
        if suffix in _SHOWN_AS_STORED and not is_deep(path):
            return _stored(request, path, digest, _SHOWN_AS_STORED[suffix])
        make = functools.partial(_as_png, path)
        return _cached(request, f"{digest[:32]}-p", "image/png", make)
    except (ImageError, OSError) as error:
        raise HTTPException(404, f"The image of this part cannot be shown: {error}.") from error


@router.get("/parts/{part_id}/heat.png")
def part_heat(
    request: Request, station: StationOf, _caller: Reading, part_id: int, small: bool = False
) -> Response:
    """Send the heat map in the image's proportions, transparent where the map is quiet."""
    part = _part(station, part_id)
    if not part.has_map or part.image is None:
        raise HTTPException(404, "The heat map of this part was not stored.")
    with station.database.read() as session:
        judging = judging_of(session, part)
    digest, size = part.image, (part.height or 1, part.width or 1)
    side = SIDE if small else LARGEST

    def make() -> bytes:
        found = station.files.read_map(digest, part.model)
        known = 0.0 if judging is None else judging.calibration.pixel.value
        return heat_png(found, known if known > 0 else float(found.max()) / 2 or 1.0, size, side)

    try:
        tag = f"{digest[:24]}-{part.model[:12]}-{part.settings}-{side}"
        return _cached(request, tag, "image/png", make)
    except FlawmapError as error:
        raise HTTPException(404, str(error)) from error


def _part(station: Station, part_id: int) -> Part:
    with station.database.read() as session:
        part = session.get(Part, part_id) if part_id < 2**63 else None
    if part is None:
        raise HTTPException(404, f"There is no part {part_id}.")
    return part


def _image(part: Part) -> tuple[str, str]:
    """Return digest and file extension of a part's image."""
    if not part.has_image or part.image is None:
        raise HTTPException(404, "The image of this part was not stored.")
    return part.image, part.suffix or ""


def _stored(request: Request, path: Path, digest: str, kind: str) -> Response:
    headers = {"ETag": f'"{digest[:32]}"', **_KEPT, **_HARMLESS}
    if headers["ETag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return FileResponse(path, media_type=kind, headers=headers)


def _cached(request: Request, tag: str, kind: str, make: Callable[[], bytes]) -> Response:
    """Answer 304 if the browser has it, else make it; `tag` names its content."""
    headers = {"ETag": f'"{tag}"', **_KEPT, **_HARMLESS}
    if headers["ETag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(make(), media_type=kind, headers=headers)


def _as_png(path: Path) -> bytes:
    return encode_png(read_image(path))
