"""API of sources: which folders and cameras bring parts, and switching them on and off.

A folder is added where the station is started (`flawmap serve --watch`): no request names a path.
"""

from __future__ import annotations

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, Field
from sqlalchemy import select

from flawmap.station.api.ids import RowId
from flawmap.station.context import Station, StationOf
from flawmap.station.database.tables import SourceSettings
from flawmap.station.database.tables.base import now
from flawmap.station.intake.sources import sources_of
from flawmap.station.security import audit
from flawmap.station.security.callers import Caller, Managing, Reading

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


@router.get("")
def list_sources(station: StationOf, _caller: Reading) -> list[SourceState]:
    """List all sources."""
    with station.database.read() as session:
        rows = session.scalars(select(SourceSettings).order_by(SourceSettings.name)).all()
    return [_state(station, row) for row in rows]


@router.post("/{source_id}/enable")
def enable(source_id: RowId, station: StationOf, caller: Managing) -> SourceState:
    """Let a source bring parts, now and after each start of the station."""
    return _switch(station, caller, source_id, on=True)


@router.post("/{source_id}/disable")
def disable(source_id: RowId, station: StationOf, caller: Managing) -> SourceState:
    """Stop a source; what it has brought is inspected."""
    return _switch(station, caller, source_id, on=False)


def _switch(station: Station, caller: Caller, source_id: int, *, on: bool) -> SourceState:
    with station.database.write() as session:
        row = session.get(SourceSettings, source_id)
        if row is None:
            raise HTTPException(404, "There is no such source: see /api/v1/sources.")
        row.disabled_at = None if on else row.disabled_at or now()
        audit.record(session, caller, f"source.{'enable' if on else 'disable'}", row.name)
    sources_of(station).reload()
    return _state(station, row)


def _state(station: Station, row: SourceSettings) -> SourceState:
    sources = sources_of(station)
    return SourceState(
        id=row.id,
        name=row.name,
        kind=row.kind,
        product=row.product_id,
        enabled=row.disabled_at is None,
        running=sources.is_running(row.id),
        problem=sources.problem(row.id),
    )
