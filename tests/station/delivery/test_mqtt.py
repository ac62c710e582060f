"""MQTT: verdicts reach `mosquitto_sub` through a real mosquitto, also after it was away."""

from __future__ import annotations

import json
from typing import Any

from station.delivery.receiving import Broker, next_line
from station.inspecting import Inspecting, draw_png, wait_until

_ACCOUNT = {"user": "line", "password": "secret word"}


def link(line: Inspecting, broker: Broker, **settings: Any) -> dict[str, Any]:
    known = {"kind": "mqtt", "host": "127.0.0.1", "port": broker.port}
    asked = {"name": "broker", "settings": known | _ACCOUNT | settings}
    answer = line.client.post("/api/v1/links", json=asked)
    assert answer.status_code == 201, answer.text
    return dict(answer.json()["link"])


def state(line: Inspecting) -> dict[str, Any]:
    return dict(line.client.get("/api/v1/links").json()[0])


def test_verdicts_reach_subscribers_also_after_the_broker_was_away(
    line: Inspecting, broker: Broker
) -> None:
    link(line, broker)
    with broker.subscribed("flawmap/#") as client:
        line.send(draw_png(1), number="SN 1", line="two")
        topic, text = next_line(client, "flawmap/").split(" ", 1)
        assert topic == "flawmap/board/two/verdict"
        assert json.loads(text)["number"] == "SN 1"
    broker.stop()
    line.send(draw_png(2), number="SN 2")
    wait_until(lambda: state(line)["error"])
    broker.start()
    with broker.subscribed("flawmap/#") as client:
        line.send(draw_png(3), number="SN 3")
        wait_until(lambda: state(line)["backlog"] == 0)
        numbers = [json.loads(next_line(client, "flawmap/").split(" ", 1)[1])["number"]]
        if numbers == ["SN 2"]:  # delivered after the client had subscribed
            numbers = [json.loads(next_line(client, "flawmap/").split(" ", 1)[1])["number"]]
        assert numbers == ["SN 3"]


def test_a_wrong_password_is_named_and_stays_with_its_broker(
    line: Inspecting, broker: Broker
) -> None:
    made = link(line, broker, password="wrong")
    line.send(draw_png(1))
    wait_until(lambda: state(line)["error"])
    assert "ot authorized" in state(line)["error"]
    path, asked = f"/api/v1/links/{made['id']}", {"name": "broker", "settings": made["settings"]}
    asked["settings"]["host"] = "127.0.0.2"
    refused = line.client.put(path, json=asked)
    assert refused.status_code == 422
    assert "password again" in refused.json()["detail"]
    asked["settings"] |= {"host": "127.0.0.1", **_ACCOUNT}
    assert line.client.put(path, json=asked).status_code == 200
    wait_until(lambda: state(line)["backlog"] == 0)
    assert state(line)["delivered_at"] is not None
