"""Parts over the API: search, one part, exports."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Self

from fastapi import APIRouter, Depends, Query
from fastapi.responses import FileResponse, StreamingResponse
from pydantic import BaseModel, Field

from flawmap.errors import FlawmapError
from flawmap.station.api.ids import RowId
from flawmap.station.context import Station, StationOf
from flawmap.station.database.tables import Part
from flawmap.station.parts.export.coco import coco_text
from flawmap.station.parts.export.rows import ids_of, moment_text
from flawmap.station.parts.export.table import csv_lines, parquet_bytes
from flawmap.station.parts.filters import DecisionOrOpen, PartFilter, VerdictOrError
from flawmap.station.parts.find import Order, find_parts
from flawmap.station.refusals import RefusedError
from flawmap.station.security.callers import Reading

router = APIRouter(prefix="/api/v1/parts", tags=["parts"])
_BIG, _AREA = 2**63 - 1, 2**31 - 1
_FORMATS = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".bmp": "image/bmp",
    ".tif": "image/tiff",
    ".webp": "image/webp",
}
# What a client sent is a file to keep, even if a browser opens its address.
_HARMLESS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
}


class PartAnswer(BaseModel):
    """One part."""

    id: int
    product_id: int
    received_at: str = Field(description="ISO 8601, UTC")
    number: str | None = Field(description="part number, by the client")
    line: str | None
    source: str
    fields: dict[str, str]
    verdict: str | None = Field(description="good, review or reject; none with an error")
    score: float | None
    p_value: float | None
    error: str | None
    decision: str | None = Field(description="by the last review: good, reject or unsure")
    record: dict[str, Any] = Field(description="the inspection record")
    image: str | None = Field(description="where the image is as received, if it is stored")
    map: str | None = Field(description="where the anomaly map is, if it is stored")
    heat: str | None = Field(description="where the map is in colours, if it is stored")
    page: str = Field(description="page for people")
    note: str | None = Field(description="why image or map are not stored")

    @classmethod
    def of(cls, part: Part) -> Self:
        """Create from a row."""
        page = f"/parts/{part.id}"
        own = {name: getattr(part, name) for name in cls.model_fields if hasattr(part, name)}
        return cls(
            **own
            | {
                "received_at": moment_text(part.received_at),
                "image": f"{router.prefix}/{part.id}/image" if part.has_image else None,
                "map": f"{router.prefix}/{part.id}/map" if part.has_map else None,
                "heat": f"{page}/heat.png" if part.has_map else None,
                "page": page,
            }
        )


class PartsAnswer(BaseModel):
    """A page of parts."""

    parts: list[PartAnswer]
    after: str | None = Field(description="give it as `after` for the next page; none at the end")


def wanted_parts(
    product: Annotated[int | None, Query(ge=0, le=_BIG)] = None,
    line: Annotated[str | None, Query(max_length=100)] = None,
    source: Annotated[str | None, Query(max_length=200)] = None,
    number: Annotated[str | None, Query(max_length=200, description="beginning")] = None,
    verdict: Annotated[list[VerdictOrError], Query()] = [],  # noqa: B006 - FastAPI copies it
    decision: Annotated[list[DecisionOrOpen], Query()] = [],  # noqa: B006
    lowest_score: float | None = None,
    highest_score: float | None = None,
    lowest_p: float | None = None,
    highest_p: float | None = None,
    since: Annotated[int | None, Query(ge=0, le=_BIG, description="microseconds, UTC")] = None,
    until: Annotated[int | None, Query(ge=0, le=_BIG, description="microseconds, UTC")] = None,
    smallest_area: Annotated[int | None, Query(ge=0, le=_AREA)] = None,
    largest_area: Annotated[int | None, Query(ge=0, le=_AREA)] = None,
    reviewer: Annotated[int | None, Query(ge=0, le=_BIG)] = None,
    field: Annotated[
        str | None,
        Query(max_length=300, description="NAME=VALUE; looks at each part until a page is full"),
    ] = None,
    model: Annotated[str | None, Query(max_length=64, description="digest")] = None,
    settings: Annotated[str | None, Query(max_length=16, description="digest")] = None,
    image: Annotated[str | None, Query(pattern="^[0-9a-f]{64}$", description="SHA-256")] = None,
) -> PartFilter:
    """Return the filter that a request's parameters describe; refuse one that says nothing."""
    wanted = PartFilter(
        product=product,
        line=line,
        source=source,
        number=number,
        verdicts=tuple(verdict),
        decisions=tuple(decision),
        lowest_score=lowest_score,
        highest_score=highest_score,
        lowest_p=lowest_p,
        highest_p=highest_p,
        since=since,
        until=until,
        smallest_area=smallest_area,
        largest_area=largest_area,
        reviewer=reviewer,
        field=field,
        model=model,
        settings=settings,
        image=image,
    )
    try:
        _ = wanted.named_field  # before the first byte of an export is sent
    except FlawmapError as error:
        raise RefusedError(str(error)) from error
    return wanted


Wanted = Annotated[PartFilter, Depends(wanted_parts)]


@router.get("")
def search(
    station: StationOf,
    _caller: Reading,
    wanted: Wanted,
    order: Order = "newest",
    after: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> PartsAnswer:
    """Search for parts."""
    try:
        with station.database.read() as session:
            found = find_parts(session, wanted, after, limit, order)
    except FlawmapError as error:
        raise RefusedError(str(error)) from error
    return PartsAnswer(parts=[PartAnswer.of(part) for part in found.parts], after=found.after)


@router.get("/export.csv", response_class=StreamingResponse)
def export_csv(station: StationOf, _caller: Reading, wanted: Wanted) -> StreamingResponse:
    """Export parts as CSV."""
    return _file(
        csv_lines(station.database, ids_of(station.database, wanted)),
        "text/csv; charset=utf-8",
        "parts.csv",
    )


@router.get("/export.parquet", response_class=StreamingResponse)
def export_parquet(station: StationOf, _caller: Reading, wanted: Wanted) -> StreamingResponse:
    """Export parts as Parquet."""
    try:
        pieces = parquet_bytes(station.database, ids_of(station.database, wanted))
    except FlawmapError as error:
        raise RefusedError(str(error)) from error
    return _file(pieces, "application/vnd.apache.parquet", "parts.parquet")


@router.get("/coco.json", response_class=StreamingResponse)
def export_coco(station: StationOf, _caller: Reading, wanted: Wanted) -> StreamingResponse:
    """Export parts with their defects in the COCO format."""
    return _file(
        coco_text(station.database, ids_of(station.database, wanted)),
        "application/json",
        "coco.json",
    )


@router.get("/{part_id}")
def one_part(station: StationOf, _caller: Reading, part_id: RowId) -> PartAnswer:
    """Return one part."""
    return PartAnswer.of(_part(station, part_id))


@router.get("/{part_id}/image", response_class=FileResponse)
def part_image(station: StationOf, _caller: Reading, part_id: RowId) -> FileResponse:
    """Return the image as it was received, under the name that the COCO export gives it."""
    part = _part(station, part_id)
    if not part.has_image or part.image is None:
        raise RefusedError(f"The image of part {part_id} is not stored. {part.note or ''}", 404)
    suffix = part.suffix or ""
    path = station.files.image_path(part.image, suffix)
    return _stored(path, _FORMATS.get(suffix, "application/octet-stream"))


@router.get("/{part_id}/map", response_class=FileResponse)
def part_map(station: StationOf, _caller: Reading, part_id: RowId) -> FileResponse:
    """Return the anomaly map as 16-bit PNG; 65535 is the value of its text `flawmap:top`."""
    part = _part(station, part_id)
    if not part.has_map or part.image is None:
        raise RefusedError(f"The map of part {part_id} is not stored. {part.note or ''}", 404)
    return _stored(station.files.map_path(part.image, part.model), "image/png")


def _part(station: Station, part_id: int) -> Part:
    with station.database.read() as session:
        part = session.get(Part, part_id)
    if part is None:
        raise RefusedError(f"There is no part {part_id}.", 404)
    return part


def _stored(path: Path, kind: str) -> FileResponse:
    if not path.is_file():  # removed a moment ago, or by somebody else
        raise RefusedError("The file is no longer there: ask for the part again.", 404)
    return FileResponse(path, media_type=kind, filename=path.name, headers=_HARMLESS)


def _file(pieces: Any, kind: str, name: str) -> StreamingResponse:
    disposition = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(pieces, media_type=kind, headers=disposition)
