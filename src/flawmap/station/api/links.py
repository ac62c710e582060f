"""API of links to other systems: webhooks and MQTT brokers that get each verdict."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from flawmap.station.api.ids import RowId
from flawmap.station.context import StationOf
from flawmap.station.database.tables import Sink
from flawmap.station.delivery import sinks
from flawmap.station.delivery.outbox import sink_state
from flawmap.station.delivery.service import delivery_of
from flawmap.station.delivery.settings import SECRETS, Settings, read_settings
from flawmap.station.security.callers import Managing

router = APIRouter(prefix="/api/v1/links", tags=["links"])


class LinkAnswer(BaseModel):
    """A link and how its delivery goes; moments are microseconds since 1970, UTC."""

    id: int
    name: str
    kind: str = Field(description="webhook or mqtt")
    settings: dict[str, Any] = Field(description="without secrets, which are never shown again")
    secrets: list[str] = Field(description="names of the secrets that are stored")
    enabled: bool
    created_at: int
    backlog: int = Field(description="messages that wait")
    delivered_at: int | None = Field(description="when the last message was delivered")
    message: int | None = Field(description="the message that waits and is sent next")
    error: str | None = Field(description="why this message has failed, if it has")
    attempts: int = Field(description="how often it failed")
    next_at: int | None = Field(description="when it is sent again")
    given_up: int = Field(
        description="messages given up after 7 days or skipped, of the last 30 days"
    )
    given_up_error: str | None = Field(description="why the last of them had failed")


class Link(BaseModel):
    """What is said of a link to create or change it."""

    name: str = Field(min_length=1, max_length=60)
    settings: Settings


class MadeLink(BaseModel):
    """A link just created."""

    link: LinkAnswer
    secret: str = Field(description="the signature's key if the station made one; only shown now")


@router.get("")
def list_links(station: StationOf, _caller: Managing) -> list[LinkAnswer]:
    """List all links."""
    with station.database.read() as session:
        return [_answer(session, sink) for sink in sinks.all_sinks(session)]


@router.post("", status_code=201)
def create_link(new: Link, station: StationOf, caller: Managing) -> MadeLink:
    """Create a link: it gets the verdicts of all parts from now on."""
    with station.database.write() as session:
        sink, secret = sinks.create_sink(session, caller, new.name, new.settings)
        answer = MadeLink(link=_answer(session, sink), secret=secret)
    delivery_of(station).reload()
    return answer


@router.put("/{link_id}")
def change_link(link_id: RowId, new: Link, station: StationOf, caller: Managing) -> LinkAnswer:
    """Change a link; a secret that is left out stays. What waits is sent at once."""
    with station.database.write() as session:
        sink = sinks.change_sink(session, caller, link_id, new.name, new.settings)
        answer = _answer(session, sink)
    delivery_of(station).reload()
    return answer


@router.post("/{link_id}/enable")
def enable_link(link_id: RowId, station: StationOf, caller: Managing) -> LinkAnswer:
    """Switch a link on."""
    return _switched(link_id, station, caller, on=True)


@router.post("/{link_id}/disable")
def disable_link(link_id: RowId, station: StationOf, caller: Managing) -> LinkAnswer:
    """Switch a link off: parts that come meanwhile are never sent; what waits stays."""
    return _switched(link_id, station, caller, on=False)


@router.post("/{link_id}/test", status_code=202)
def test_link(link_id: RowId, station: StationOf, caller: Managing) -> LinkAnswer:
    """Send one message about no part, behind those that wait."""
    with station.database.write() as session:
        sink = sinks.add_test(session, caller, link_id, station.address)
        answer = _answer(session, sink)
    delivery_of(station).wake()
    return answer


@router.post("/{link_id}/messages/{message}/skip")
def skip_message(
    link_id: RowId, message: RowId, station: StationOf, caller: Managing
) -> LinkAnswer:
    """Give up the message that waits and fails, and go on with those behind it."""
    with station.database.write() as session:
        sink = sinks.skip_message(session, caller, link_id, message)
        answer = _answer(session, sink)
    delivery_of(station).wake()
    return answer


@router.delete("/{link_id}", status_code=204)
def delete_link(link_id: RowId, station: StationOf, caller: Managing) -> None:
    """Delete a link, with all messages that wait for it."""
    with station.database.write() as session:
        sinks.delete_sink(session, caller, link_id)
    delivery_of(station).reload()


def _switched(link_id: int, station: StationOf, caller: Managing, *, on: bool) -> LinkAnswer:
    with station.database.write() as session:
        answer = _answer(session, sinks.switch_sink(session, caller, link_id, on=on))
    delivery_of(station).reload()
    return answer


def _answer(session: Session, sink: Sink) -> LinkAnswer:
    settings = read_settings(sink.settings)
    return LinkAnswer(
        id=sink.id,
        name=sink.name,
        kind=sink.kind,
        settings=sinks.shown_settings(settings),
        secrets=[name for name in SECRETS if getattr(settings, name, "")],
        enabled=sink.disabled_at is None,
        created_at=sink.created_at,
        **sink_state(session, sink.id)._asdict(),
    )
