"""API of retention: how long images are kept."""

from __future__ import annotations

from typing import cast

from fastapi import APIRouter
from pydantic import BaseModel, Field

from flawmap.station.context import Station, StationOf
from flawmap.station.retention.service import Retention
from flawmap.station.retention.settings import (
    NAME,
    RetentionSettings,
    read_settings,
    stored_bytes,
    write_settings,
)
from flawmap.station.security import audit
from flawmap.station.security.callers import Caller, Managing, Reading

router = APIRouter(prefix="/api/v1/retention", tags=["retention"])


class RetentionState(BaseModel):
    """Settings in force, and what is stored."""

    settings: RetentionSettings
    megabytes: float = Field(description="of stored images and maps now")


@router.get("")
def show(station: StationOf, _caller: Reading) -> RetentionState:
    """Return how long images are kept, and how much they take."""
    with station.database.read() as session:
        size = stored_bytes(session) / 10**6
        return RetentionState(settings=read_settings(session), megabytes=round(size, 3))


@router.put("")
def change(settings: RetentionSettings, station: StationOf, caller: Managing) -> RetentionState:
    """Keep images for another time; what is older is removed within a minute."""
    put_in_force(station, caller, settings)
    return show(station, caller)


def put_in_force(station: Station, caller: Caller, settings: RetentionSettings) -> None:
    """Put settings in force, and let the service look at once."""
    with station.database.write() as session:
        write_settings(session, settings)
        audit.record(session, caller, "retention.change", NAME, **settings.model_dump())
    cast(Retention, station.services[NAME]).look_now()
