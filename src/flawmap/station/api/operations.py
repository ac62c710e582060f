"""Addresses for programs that run and watch the station: health and numbers.

Health is for everybody and names nothing. Numbers are for programs on the same machine, for keys
with the scope `read`, and for people.
"""

from __future__ import annotations

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, Field

from flawmap.station.context import StationOf
from flawmap.station.observe.health import problems
from flawmap.station.observe.metrics import metrics_of
from flawmap.station.security.callers import ReadingHere

router = APIRouter(tags=["operations"])


class Health(BaseModel):
    """Whether the station works."""

    ready: bool
    problems: list[str] = Field(description="why not, in sentences")


@router.get("/healthz")
def healthz() -> Health:
    """Answer while the process runs."""
    return Health(ready=True, problems=[])


@router.get("/readyz", responses={503: {"model": Health, "description": "not ready"}})
def readyz(response: Response, station: StationOf) -> Health:
    """Say whether the database answers and all inspectors are loaded; else 503."""
    found = problems(station)
    response.status_code = 503 if found else 200
    return Health(ready=not found, problems=found)


@router.get("/metrics", response_class=PlainTextResponse)
def metrics(station: StationOf, _caller: ReadingHere) -> Response:
    """Return numbers in Prometheus' text format."""
    text = metrics_of(station).text()
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")
