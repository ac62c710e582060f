"""The page of links: where verdicts go, and which folders and cameras bring images."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from flawmap.station.api.ids import RowId
from flawmap.station.context import Station, StationOf
from flawmap.station.database.tables import Product, SourceSettings
from flawmap.station.delivery import sinks
from flawmap.station.delivery.outbox import sink_state
from flawmap.station.delivery.service import delivery_of
from flawmap.station.delivery.settings import (
    TOPIC,
    MqttSettings,
    Verdict,
    WebhookSettings,
    read_settings,
)
from flawmap.station.intake.camera.where import Camera, NetworkCamera
from flawmap.station.intake.sources import add_source, sources_of, switch_source
from flawmap.station.refusals import RefusedError
from flawmap.station.security.callers import Caller, Engineer
from flawmap.station.web.rendering import page

router = APIRouter(prefix="/links")
_VERDICTS = ("good", "review", "reject", "error")


@router.get("", response_class=HTMLResponse)
def show(request: Request, station: StationOf, caller: Engineer) -> Response:
    """Show all links and sources, and forms for new links."""
    return _show(request, station, caller)


@router.post("/webhook", response_class=HTMLResponse)
def create_webhook(
    request: Request,
    station: StationOf,
    caller: Engineer,
    name: Annotated[str, Form(max_length=200)] = "",
    url: Annotated[str, Form(max_length=2000)] = "",
    verdicts: Annotated[tuple[Verdict, ...], Form()] = (),
    products: Annotated[tuple[int, ...], Form()] = (),
) -> Response:
    """Add a webhook, and show its secret this once."""
    values = {"url": url, "verdicts": verdicts, "products": products}
    return _create(request, station, caller, name, WebhookSettings, values)


@router.post("/mqtt", response_class=HTMLResponse)
def create_mqtt(
    request: Request,
    station: StationOf,
    caller: Engineer,
    name: Annotated[str, Form(max_length=200)] = "",
    host: Annotated[str, Form(max_length=300)] = "",
    port: Annotated[int, Form()] = 1883,
    use_tls: Annotated[bool, Form()] = False,
    user: Annotated[str, Form(max_length=200)] = "",
    password: Annotated[str, Form(max_length=200)] = "",
    topic: Annotated[str, Form(max_length=500)] = TOPIC,
    verdicts: Annotated[tuple[Verdict, ...], Form()] = (),
    products: Annotated[tuple[int, ...], Form()] = (),
) -> Response:
    """Add an MQTT broker."""
    values = {"host": host, "port": port, "use_tls": use_tls, "user": user, "password": password}
    values |= {"topic": topic, "verdicts": verdicts, "products": products}
    return _create(request, station, caller, name, MqttSettings, values)


@router.post("/sources", response_class=HTMLResponse)
def add_camera(
    request: Request,
    station: StationOf,
    caller: Engineer,
    name: Annotated[str, Form(max_length=200)] = "",
    product: Annotated[int, Form(ge=1, lt=2**63)] = 1,
    where: Annotated[str, Form(max_length=2000)] = "",
    interval: Annotated[str, Form(max_length=20)] = "",
    line: Annotated[str, Form(max_length=100)] = "",
) -> Response:
    """Add a camera; without an interval its images are triggered."""
    typed = {"name": name, "product": product, "where": where, "interval": interval, "line": line}
    take = {"take": "interval", "interval": interval} if interval.strip() else {"take": "trigger"}
    try:
        camera = NetworkCamera.model_validate({"where": where, "line": line or None, **take})
        with station.database.write() as session:
            add_source(session, caller, name, product, camera)
    except ValidationError as error:
        return _show(request, station, caller, _complaint(error), typed=typed)
    except RefusedError as error:
        return _show(request, station, caller, error, typed=typed)
    sources_of(station).reload()
    return _back("#sources")


@router.post("/sources/{source_id}/enable")
def enable_source(source_id: RowId, station: StationOf, caller: Engineer) -> Response:
    """Let a source bring parts."""
    switch_source(station, caller, source_id, on=True)
    return _back("#sources")


@router.post("/sources/{source_id}/disable")
def disable_source(source_id: RowId, station: StationOf, caller: Engineer) -> Response:
    """Stop a source; what it has brought is inspected."""
    switch_source(station, caller, source_id, on=False)
    return _back("#sources")


@router.post("/{link_id}/test")
def test(link_id: RowId, station: StationOf, caller: Engineer) -> Response:
    """Send one message about no part."""
    with station.database.write() as session:
        sinks.add_test(session, caller, link_id, station.address)
    delivery_of(station).wake()
    return _back()


@router.post("/{link_id}/messages/{message}/skip")
def skip(link_id: RowId, message: RowId, station: StationOf, caller: Engineer) -> Response:
    """Give up the message that holds up those behind it."""
    with station.database.write() as session:
        sinks.skip_message(session, caller, link_id, message)
    delivery_of(station).wake()
    return _back()


@router.post("/{link_id}/enable")
def enable(link_id: RowId, station: StationOf, caller: Engineer) -> Response:
    """Switch a link on."""
    return _switch(link_id, station, caller, on=True)


@router.post("/{link_id}/disable")
def disable(link_id: RowId, station: StationOf, caller: Engineer) -> Response:
    """Switch a link off."""
    return _switch(link_id, station, caller, on=False)


@router.post("/{link_id}/delete")
def delete(link_id: RowId, station: StationOf, caller: Engineer) -> Response:
    """Delete a link with what waits for it."""
    with station.database.write() as session:
        sinks.delete_sink(session, caller, link_id)
    delivery_of(station).reload()
    return _back()


def _switch(link_id: int, station: Station, caller: Caller, *, on: bool) -> Response:
    with station.database.write() as session:
        sinks.switch_sink(session, caller, link_id, on=on)
    delivery_of(station).reload()
    return _back()


def _back(place: str = "") -> Response:
    return RedirectResponse(f"/links{place}", 303)


def _complaint(error: ValidationError) -> RefusedError:
    first = error.errors(include_url=False, include_context=False)[0]
    return RefusedError(f"{first['loc'][0]}: {first['msg'].removeprefix('Value error, ')}.")


def _create(
    request: Request,
    station: Station,
    caller: Caller,
    name: str,
    kind: type[WebhookSettings | MqttSettings],
    values: dict[str, Any],
) -> Response:
    try:
        settings = kind.model_validate(values)
        with station.database.write() as session:
            sink, secret = sinks.create_sink(session, caller, name, settings)
    except ValidationError as error:
        return _show(request, station, caller, _complaint(error), typed={"name": name} | values)
    except RefusedError as error:
        return _show(request, station, caller, error, typed={"name": name} | values)
    delivery_of(station).reload()
    return _show(request, station, caller, secret=secret, secret_of=sink.name)


def _show(
    request: Request,
    station: Station,
    caller: Caller,
    error: RefusedError | None = None,
    **more: Any,
) -> HTMLResponse:
    with station.database.read() as session:
        links = [_link(session, sink) for sink in sinks.all_sinks(session)]
        products = session.scalars(select(Product).order_by(Product.name)).all()
        rows = session.scalars(select(SourceSettings).order_by(SourceSettings.name)).all()
    values = {
        "links": links,
        "product_names": {one.id: one.name for one in products},
        "in_use": {one.id: one.name for one in products if one.retired_at is None},
        "sources": [_source(station, row) for row in rows],
        "verdicts": _VERDICTS,
        "topic": TOPIC,
        "secret": "",
        "typed": {},
        "opcua": station.config.opcua,
        "failure": error.detail if error else "",
    }
    return page(request, "links.html.j2", caller, error.status if error else 200, **values | more)


def _link(session: Session, sink: Any) -> dict[str, Any]:
    settings = read_settings(sink.settings)
    return {"row": sink, "settings": settings, "state": sink_state(session, sink.id)}


def _source(station: Station, row: SourceSettings) -> dict[str, Any]:
    sources = sources_of(station)
    camera = sources.camera(row.id)
    settings = Camera.model_validate(row.settings) if row.kind == "camera" else None
    return {
        "row": row,
        "problem": sources.problem(row.id),
        "dropped": 0 if camera is None else camera.dropped,
        "camera": settings,
        "place": row.settings["folder"] if settings is None else settings.address,
    }
