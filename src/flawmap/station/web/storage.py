"""The storage page: how much images take, and how long they are kept."""

from __future__ import annotations

import shutil
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from flawmap.station.api.retention import put_in_force
from flawmap.station.context import Station, StationOf
from flawmap.station.retention.preview import Removal, preview
from flawmap.station.retention.settings import RetentionSettings, read_settings, stored_bytes
from flawmap.station.security.callers import Caller, Engineer
from flawmap.station.web.rendering import page

router = APIRouter()
Days = Annotated[int | None, Form(ge=1, le=36500)]
KINDS = (
    ("good_days", "Good parts"),
    ("review_days", "Parts sent to review"),
    ("reject_days", "Rejected parts"),
    ("error_days", "Parts with an error"),
)


@router.get("/storage", response_class=HTMLResponse)
def storage(
    request: Request, station: StationOf, caller: Engineer, saved: bool = False
) -> HTMLResponse:
    """Show what is stored, and how long it is kept."""
    with station.database.read() as session:
        settings = read_settings(session)
    return _show(request, station, caller, settings, saved=saved)


@router.post("/storage", response_class=HTMLResponse)
def keep(
    request: Request,
    station: StationOf,
    caller: Engineer,
    good_days: Days = None,
    review_days: Days = None,
    reject_days: Days = None,
    error_days: Days = None,
    megabytes: Annotated[int | None, Form(ge=1, le=10**12)] = None,
    reviewed_too: Annotated[bool, Form()] = False,
    confirmed: Annotated[bool, Form()] = False,
) -> Response:
    """Keep images for another time; ask first if that removes some."""
    settings = RetentionSettings(
        good_days=good_days,
        review_days=review_days,
        reject_days=reject_days,
        error_days=error_days,
        megabytes=megabytes,
        reviewed_too=reviewed_too,
    )
    if not confirmed:
        with station.database.read() as session:
            removal = preview(session, settings)
        if removal.parts:
            return _show(request, station, caller, settings, removal)
    put_in_force(station, caller, settings)
    return RedirectResponse("/storage?saved=true", 303)


def _show(
    request: Request,
    station: Station,
    caller: Caller,
    settings: RetentionSettings,
    removal: Removal | None = None,
    saved: bool = False,
) -> HTMLResponse:
    with station.database.read() as session:
        stored = stored_bytes(session)
        still = preview(session, read_settings(session)) if removal is None else removal
    values: dict[str, Any] = {
        "settings": settings.model_dump(),
        "kinds": KINDS,
        "stored": stored,
        "free": shutil.disk_usage(station.files.folder).free,
        "removal": removal,
        "still": still,
        "saved": saved,
    }
    return page(request, "storage.html.j2", caller, **values)
