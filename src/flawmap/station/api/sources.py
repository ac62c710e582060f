"""API of sources: which folders and cameras bring parts, and switching them on and off.

A folder or video file is added where the station is started (`flawmap serve --watch`, `--camera`):
no request names a path.
"""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, HTTPException
from fastapi.responses import Response
from pydantic import BaseModel, Field
from sqlalchemy import select

from flawmap.station.api.ids import RowId
from flawmap.station.api.intake.inspect import (
    FAILURES,
    REFUSALS,
    InspectedPart,
    answer_with,
    answers_of,
)
from flawmap.station.context import Station, StationOf
from flawmap.station.database.tables import SourceSettings
from flawmap.station.intake.camera.source import Trigger
from flawmap.station.intake.camera.where import Camera
from flawmap.station.intake.sources import add_source, sources_of, switch_source
from flawmap.station.intake.submission import BusyError, RefusedError
from flawmap.station.security.callers import Inspecting, Managing, Reading

router = APIRouter(prefix="/api/v1/sources", tags=["sources"])


class SourceState(BaseModel):
    """A source and what it does."""

    id: int
    name: str
    kind: str = Field(description="folder or camera")
    product: int = Field(description="id of the product whose parts it brings")
    enabled: bool
    running: bool = Field(description="it brings parts now")
    problem: str | None = Field(description="why it runs and brings nothing, if so")
    dropped: int = Field(description="images of a camera that a full queue did not take")


class NewCamera(BaseModel):
    """A camera to be added: a device of the station's machine, or a camera in the network."""

    name: str = Field(min_length=1, max_length=60)
    product: int = Field(ge=1, le=2**63 - 1, description="id of the product of its parts")
    where: str = Field(
        max_length=2000,
        pattern=r"^([0-9]{1,2}|(rtsps?|https?)://.+)$",
        description="the device's number, or a URL that begins with rtsp:// or http://",
    )
    take: Literal["interval", "trigger"] = "interval"
    interval: float = Field(1.0, ge=0.02, le=86_400.0, description="seconds between two images")
    line: str | None = Field(None, max_length=100)


class TriggerSaid(BaseModel):
    """What is said of the part whose image is taken."""

    number: str | None = Field(None, max_length=200)
    line: str | None = Field(None, max_length=100)


@router.get("")
def list_sources(station: StationOf, _caller: Reading) -> list[SourceState]:
    """List all sources."""
    with station.database.read() as session:
        rows = session.scalars(select(SourceSettings).order_by(SourceSettings.name)).all()
    return [_state(station, row) for row in rows]


@router.post("", status_code=201)
def add_camera(new: NewCamera, station: StationOf, caller: Managing) -> SourceState:
    """Add a camera; it brings parts at once."""
    try:
        camera = Camera(where=new.where, take=new.take, interval=new.interval, line=new.line)
    except ValueError as error:
        raise HTTPException(422, "where: give a device's number or a URL with a host.") from error
    with station.database.write() as session:
        row = add_source(session, caller, new.name, new.product, camera)
    sources_of(station).reload()
    return _state(station, row)


@router.post(
    "/{source_id}/trigger",
    response_model=InspectedPart,
    responses=REFUSALS | FAILURES,
)
async def trigger(
    source_id: RowId, station: StationOf, _caller: Inspecting, said: TriggerSaid | None = None
) -> Response:
    """Take an image with a camera whose images are triggered, and answer with its verdict."""
    source = sources_of(station).camera(source_id)
    if source is None:
        raise HTTPException(404, "There is no such camera, or it is off: see /api/v1/sources.")
    if source.camera.take != "trigger":
        raise HTTPException(409, "This camera takes images at intervals: nothing triggers it.")
    wish = Trigger(said.number, said.line) if said is not None else Trigger()
    try:
        source.trigger(wish)
        answer = (await answers_of([wish.answer]))[0]
    except BusyError as error:
        raise HTTPException(503, str(error), {"Retry-After": str(error.seconds)}) from error
    except RefusedError as error:
        raise HTTPException(422, str(error)) from error
    return answer_with(answer.part)


@router.post("/{source_id}/enable")
def enable(source_id: RowId, station: StationOf, caller: Managing) -> SourceState:
    """Let a source bring parts, now and after each start of the station."""
    return _state(station, switch_source(station, caller, source_id, on=True))


@router.post("/{source_id}/disable")
def disable(source_id: RowId, station: StationOf, caller: Managing) -> SourceState:
    """Stop a source; what it has brought is inspected."""
    return _state(station, switch_source(station, caller, source_id, on=False))


def _state(station: Station, row: SourceSettings) -> SourceState:
    sources = sources_of(station)
    camera = sources.camera(row.id)
    return SourceState(
        id=row.id,
        name=row.name,
        kind=row.kind,
        product=row.product_id,
        enabled=row.disabled_at is None,
        running=sources.is_running(row.id),
        problem=sources.problem(row.id),
        dropped=0 if camera is None else camera.dropped,
    )
