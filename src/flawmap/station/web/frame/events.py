"""Server-sent events: each page that is open learns at once what happened.

Events are signals with a few values; pages fetch what they show, so that nothing is lost when a
connection breaks.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import Response, StreamingResponse

from flawmap.station.context import Station, StationOf
from flawmap.station.events import Event
from flawmap.station.security.callers import Operator, caller_of

router = APIRouter()
HEARTBEAT = 10.0  # seconds; proxies close connections that are silent for longer
_STATE = 1.0  # seconds between looks at the queue
_GATHER = 0.1  # seconds in which further events join the first: a burst becomes one message
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


@router.head("/events")
def events_exist(_caller: Operator) -> Response:
    """Tell a page whose stream ended whether its person is still logged in."""
    return Response()


@router.get("/events")
async def events(request: Request, station: StationOf, _caller: Operator) -> StreamingResponse:
    """Send events until the page is closed, the person logs out, or the station stops."""
    return StreamingResponse(
        _messages(request, station), media_type="text/event-stream", headers=_HEADERS
    )


async def _messages(request: Request, station: Station) -> AsyncIterator[str]:
    with station.events.stream() as stream:
        shown, spoke = station_state(station), time.monotonic()
        yield message("state", shown)
        while not stream.closed:
            happened = await stream.next_events(_STATE)
            if happened:
                await asyncio.sleep(_GATHER)
                happened += await stream.next_events(0.0)
            state = station_state(station)
            text = "".join(_merged(happened)) + (message("state", state) if state != shown else "")
            if not text and time.monotonic() - spoke >= HEARTBEAT:
                if not await _is_logged_in(request, station):
                    return
                text = ": still here\n\n"
            if text:
                shown, spoke = state, time.monotonic()
                yield text


def message(kind: str, values: dict[str, Any]) -> str:
    """Return an event in the text format of server-sent events."""
    return f"event: {kind}\ndata: {json.dumps(values)}\n\n"


def station_state(station: Station) -> dict[str, Any]:
    """Return what the header shows: how many images wait, where something counts them, and the
    products with an alarm that nobody has looked into yet."""
    services = station.services.values()
    waiting = [getattr(service, "waiting", None) for service in services]
    counted = [number for number in waiting if isinstance(number, int)]
    alarms = [name for service in services for name in getattr(service, "alarms", ())]
    return ({"queue": sum(counted)} if counted else {}) | ({"alarms": alarms} if alarms else {})


def _merged(events: list[Event]) -> list[str]:
    """Return messages; of parts that came in a burst only the last is announced."""
    last_part = max((i for i, one in enumerate(events) if one.kind == "part"), default=-1)
    kept = [one for i, one in enumerate(events) if one.kind != "part" or i == last_part]
    return [message(one.kind, one.values) for one in kept]


async def _is_logged_in(request: Request, station: Station) -> bool:
    try:
        await caller_of(request, station)
    except HTTPException:
        return False
    return True
