"""Webhooks: each part once, in order, signed; also over failures, restarts and a kill."""

from __future__ import annotations

import hashlib
import hmac
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from flawmap.station.database.tables import AuditEntry, OutboxMessage, Sink
from flawmap.station.database.tables.base import now
from flawmap.station.delivery import outbox
from station.delivery.receiving import free_port, receiving
from station.inspecting import Inspecting, add_key, draw_png, inspecting, wait_until


def add(line: Inspecting, url: str, name: str = "MES", **settings: Any) -> dict[str, Any]:
    """Create a link; return the API's answer."""
    asked = {"name": name, "settings": {"kind": "webhook", "url": url, **settings}}
    answer = line.client.post("/api/v1/links", json=asked)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def state(line: Inspecting) -> dict[str, Any]:
    return dict(line.client.get("/api/v1/links").json()[0])


def test_each_part_arrives_signed_in_its_order_though_the_first_tries_fail(
    line: Inspecting,
) -> None:
    with receiving(500, 302, 503) as mes:
        made = add(line, mes.url)
        for i in range(5):
            line.send(draw_png(i), number=f"SN {i}", line="two", shift="early")
        wait_until(lambda: len(mes.taken) == 5)
        wait_until(lambda: state(line)["backlog"] == 0)
        assert [one["number"] for one in mes.taken] == [f"SN {i}" for i in range(5)]
        part = line.parts()[0]
        first = mes.taken[0]
        assert (first["part"], first["product"], first["line"]) == (part.id, "board", "two")
        assert first["record"] == part.record
        assert first["verdict"] == part.verdict
        assert first["url"].endswith(f"/parts/{part.id}")
        tries = [headers["X-Flawmap-Message"] for headers, _, _ in mes.requests[:4]]
        assert set(tries) == {first["message"]}
        for headers, body, _ in mes.requests:
            text = headers["X-Flawmap-Timestamp"].encode() + b"." + body
            digest = hmac.new(made["secret"].encode(), text, hashlib.sha256).hexdigest()
            assert headers["X-Flawmap-Signature"] == f"sha256={digest}"
        assert state(line)["delivered_at"] is not None


def test_only_wanted_products_and_verdicts_are_sent(line: Inspecting) -> None:
    with receiving() as mes:
        add(line, mes.url, "errors", verdicts=["error"])
        add(line, mes.url, "another product", products=[999])
        line.send(draw_png(1), number="fine")
        line.send(b"no image", number="broken")
        wait_until(lambda: mes.taken)
        with line.station.database.read() as session:
            rows = session.scalars(select(OutboxMessage)).all()
        assert [row.payload["number"] for row in rows] == ["broken"]
        assert rows[0].payload["verdict"] is None
        assert rows[0].payload["error"]


def test_a_failure_is_shown_and_holds_up_no_other_link(line: Inspecting) -> None:
    with receiving() as mes:
        add(line, f"http://127.0.0.1:{free_port()}/", "A dead")
        add(line, mes.url, "B alive")
        line.send(draw_png(1))
        wait_until(lambda: mes.taken)
        wait_until(lambda: state(line)["error"])
        assert state(line)["backlog"] == 1
        assert "does not answer" in state(line)["error"]
        assert state(line)["next_at"] is not None


def test_a_message_is_given_up_after_a_week_and_those_behind_go_on(line: Inspecting) -> None:
    with receiving(500) as mes:
        made = add(line, mes.url)["link"]
        line.client.post(f"/api/v1/links/{made['id']}/disable")
        with line.station.database.write() as session:
            for text in "old", "new":
                outbox.add(session, made["id"], {"message": text, "number": text}, None)
            week = update(OutboxMessage).where(OutboxMessage.id == 1)
            session.execute(week.values(created_at=now() - 8 * 24 * 3_600_000_000))
        line.client.post(f"/api/v1/links/{made['id']}/enable")
        wait_until(lambda: mes.taken)
        assert [one["number"] for one in mes.taken] == ["new"]
        wait_until(lambda: state(line)["backlog"] == 0)
        assert state(line)["given_up"] == 1
        assert "500" in state(line)["given_up_error"]


def test_a_message_that_is_always_refused_can_be_skipped(line: Inspecting) -> None:
    with receiving(*[500] * 3) as mes:
        link = add(line, mes.url)["link"]
        path = f"/api/v1/links/{link['id']}/messages"
        for i in range(2):
            line.send(draw_png(i), number=f"SN {i}")
        wait_until(lambda: state(line)["error"])
        waiting = state(line)["message"]
        assert line.client.post(f"{path}/{waiting + 1}/skip").status_code == 409  # not the first
        assert line.client.post(f"{path}/{waiting}/skip").json()["given_up"] == 1
        assert line.client.post(f"{path}/{waiting}/skip").status_code == 409
        wait_until(lambda: state(line)["backlog"] == 0)
        assert [one["number"] for one in mes.taken] == ["SN 1"]
        assert "500" in state(line)["given_up_error"]
        with line.station.database.read() as session:
            actions = session.scalars(select(AuditEntry.action)).all()
        assert actions[-1] == "link.skip"


def test_delivered_messages_are_deleted_after_a_day_and_the_last_one_stays(
    line: Inspecting,
) -> None:
    made = add(line, "http://127.0.0.1:9/")["link"]
    line.client.post(f"/api/v1/links/{made['id']}/disable")
    days = 3_600_000_000 * 24
    with line.station.database.write() as session:
        for _ in range(6):
            outbox.add(session, made["id"], {"message": "x"}, None)
        session.flush()
        outbox.note_delivered(session, [1, 2, 3])
        outbox.note_failed(session, 4, "gone", None)
        outbox.note_failed(session, 5, "gone", None)
        for row, age in ((1, 2), (2, 0.5), (3, 2), (4, 2), (5, 40)):
            one = update(OutboxMessage).where(OutboxMessage.id == row)
            session.execute(one.values(ended_at=now() - int(age * days)))
    assert not outbox.delete_old(line.station.database, made["id"])
    with line.station.database.read() as session:
        assert set(session.scalars(select(OutboxMessage.id))) == {2, 4, 6}


def test_secrets_are_never_shown_again_and_changes_are_audited(line: Inspecting) -> None:
    made = add(line, "http://127.0.0.1:9/?token=hidden", secret="very secret")
    assert made["secret"] == ""
    path = f"/api/v1/links/{made['link']['id']}"
    new = {"name": "MES 2", "settings": {"kind": "webhook", "url": "http://127.0.0.1:9/x"}}
    assert line.client.put(path, json=new).status_code == 200
    assert line.client.post(f"{path}/test").status_code == 202
    assert "very secret" not in line.client.get("/api/v1/links").text
    with line.station.database.read() as session:
        sink = session.scalars(select(Sink)).one()
        entries = session.scalars(select(AuditEntry).where(AuditEntry.action.startswith("link")))
        told = [(one.action, one.details) for one in entries]
    assert sink.settings["secret"] == "very secret"
    assert [action for action, _ in told] == ["link.create", "link.change", "link.test"]
    assert "very secret" not in str(told)
    assert line.client.delete(path).status_code == 204
    assert line.client.get("/api/v1/links").json() == []


@pytest.mark.parametrize(
    "settings",
    [
        {"kind": "webhook", "url": "file:///etc/passwd"},
        {"kind": "webhook", "url": "http://user:word@host/"},
        {"kind": "webhook", "url": "http://host/a b"},
        {"kind": "webhook", "url": "http://host:99999/"},
        {"kind": "webhook", "url": "https://host/", "ca": "none"},
        {"kind": "webhook", "url": "https://host/", "ca": "Zürich"},
        {"kind": "mqtt", "host": "broker", "topic": "a/#"},
        {"kind": "mqtt", "host": "broker", "topic": "{part}"},
        {"kind": "mqtt", "host": "mqtt://broker"},
        {"kind": "post"},
    ],
)
def test_unusable_settings_are_refused(line: Inspecting, settings: dict[str, Any]) -> None:
    answer = line.client.post("/api/v1/links", json={"name": "x", "settings": settings})
    assert answer.status_code == 422


_KILLED = """
import os, sys
from pathlib import Path
from flawmap.station.delivery import service
from flawmap.station.security import requests
from station.inspecting import add_key, draw_png, inspecting
data, run, url = sys.argv[1:]
requests.LOOPBACK |= {"testserver"}
service.DeliveryService.wake = lambda self: None
service.Courier.start = lambda self: None  # killed before it could deliver
with inspecting(Path(data), f"board={run}") as line:
    line.client.headers.update(add_key(line.station, "inspect read manage"))
    link = {"name": "MES", "settings": {"kind": "webhook", "url": url}}
    assert line.client.post("/api/v1/links", json=link).status_code == 201
    for i in range(3):
        assert line.send(draw_png(i), number=str(i)).status_code == 200
    os._exit(9)
"""


@pytest.mark.slow
def test_what_a_killed_station_had_stored_is_delivered_once(tiny_run: Path, tmp_path: Path) -> None:
    with receiving() as mes:
        program = [sys.executable, "-c", _KILLED, str(tmp_path / "data"), str(tiny_run), mes.url]
        tests = str(Path(__file__).parents[2])
        path = os.pathsep.join([tests, *filter(None, sys.path)])
        killed = subprocess.run(program, env=os.environ | {"PYTHONPATH": path}, check=False)
        assert killed.returncode == 9
        assert not mes.taken
        for _ in range(2):  # the second start has nothing left to deliver
            with inspecting(tmp_path / "data") as line:
                line.client.headers.update(add_key(line.station, "manage"))
                wait_until(lambda line=line: state(line)["backlog"] == 0)
        assert [one["number"] for one in mes.taken] == ["0", "1", "2"]
