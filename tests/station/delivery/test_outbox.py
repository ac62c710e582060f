"""The outbox while links are deleted and switched off."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import select

from flawmap.station.context import Station
from flawmap.station.database.tables import OutboxMessage, Part, Sink
from flawmap.station.delivery import outbox, sinks
from flawmap.station.delivery.service import delivery_of
from flawmap.station.delivery.settings import WebhookSettings
from flawmap.station.security.callers import Caller
from station.filling import add_user, fill
from station.inspecting import Inspecting, draw_png
from station.postgres import on_both

SETTINGS = WebhookSettings(kind="webhook", url="http://127.0.0.1:9/")


def add_sink(station: Station) -> tuple[Caller, int]:
    """Add a webhook; return who did it, and its id."""
    caller = Caller("ann", "engineer", add_user(station.database, "ann", "engineer"))
    with station.database.write() as session:
        return caller, sinks.create_sink(session, caller, "MES", SETTINGS)[0].id


@pytest.mark.parametrize("change", ["delete", "disable"])
def test_a_part_that_comes_while_a_link_changes_is_stored(
    line: Inspecting, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    _, sink = add_sink(line.station)
    delivery_of(line.station).reload()
    with monkeypatch.context() as late:  # the part comes between the commit and this
        late.setattr(delivery_of(line.station), "reload", lambda: None)
        if change == "delete":
            line.client.delete(f"/api/v1/links/{sink}")
        else:
            line.client.post(f"/api/v1/links/{sink}/disable")
        answer = line.send(draw_png(1))
    assert answer.status_code == 200
    assert len(line.parts()) == 1
    with line.station.database.read() as session:
        assert session.scalars(select(OutboxMessage)).all() == []


@on_both
def test_a_link_is_deleted_after_the_messages_that_are_just_added(station: Station) -> None:
    caller, sink = add_sink(station)
    fill(station.database, 1)

    def delete() -> None:
        with station.database.write() as session:
            sinks.delete_sink(session, caller, sink)

    deleting = threading.Thread(target=delete)
    with station.database.write() as session:
        part = session.scalars(select(Part)).one()
        outbox.add_for_parts(session, [part], {sink: SETTINGS}, "http://here")
        deleting.start()
        deleting.join(0.3)
        assert deleting.is_alive()
    deleting.join(10)
    with station.database.read() as session:
        assert session.scalars(select(Sink)).all() == []
        assert session.scalars(select(OutboxMessage)).all() == []
