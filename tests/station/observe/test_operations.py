"""/metrics, /healthz and /readyz, and log lines as JSON."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from flawmap.station.context import Station
from flawmap.station.observe.logs import JsonFormatter
from station.inspecting import Inspecting, add_key, draw_png, inspecting


@pytest.fixture
def line(tiny_run: Path, tmp_path: Path) -> Iterator[Inspecting]:
    """A station with the product `board`."""
    with inspecting(tmp_path / "data", f"board={tiny_run}") as line:
        yield line


def samples(text: str) -> dict[tuple[str, str], float]:
    """The value of each sample by its name and, joined, the values of its labels."""
    families = text_string_to_metric_families(text)
    return {
        (one.name, " ".join(one.labels.values())): one.value
        for family in families
        for one in family.samples
    }


def test_numbers_are_those_of_the_parts(line: Inspecting) -> None:
    headers = add_key(line.station, "manage")
    link = {"name": "MES", "settings": {"kind": "webhook", "url": "http://127.0.0.1:9/"}}
    made = line.client.post("/api/v1/links", json=link, headers=headers)
    assert made.status_code == 201
    verdicts = [line.send(draw_png(i)).json()["verdict"] for i in range(3)]
    line.send(b"no image")
    found = samples(line.client.get("/metrics").text)
    for verdict in ("good", "review", "reject"):
        expected = verdicts.count(verdict)
        assert found.get(("flawmap_parts_total", f"board {verdict}"), 0) == expected
    assert found["flawmap_parts_total", "board error"] == 1
    assert found["flawmap_latency_seconds_count", "board"] == 4
    assert found["flawmap_outbox_messages", "MES"] == 4
    assert found["flawmap_queue_images", ""] == 0
    assert found["flawmap_inspector_ready", "board"] == 1


def test_numbers_are_for_this_machine_and_keys_that_read(line: Inspecting) -> None:
    here = TestClient(line.app, client=("127.0.0.1", 1))
    assert here.get("/metrics").status_code == 200
    proxied = {"X-Forwarded-For": "10.0.0.9"}
    assert here.get("/metrics", headers=proxied).status_code == 401
    far = TestClient(line.app, client=("10.0.0.9", 1))
    assert far.get("/metrics").status_code == 401
    assert far.get("/metrics", headers=add_key(line.station, "inspect")).status_code == 403
    assert far.get("/metrics", headers=add_key(line.station, "read")).status_code == 200


def test_ready_says_what_is_missing_and_names_nothing(line: Inspecting) -> None:
    assert line.client.get("/healthz").json() == {"ready": True, "problems": []}
    assert line.client.get("/readyz").status_code == 200
    next(iter(line.intake.products)).problem = "secret folder"
    answer = line.client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["problems"] == ["The inspectors of 1 products are not loaded."]


def test_a_station_without_products_is_ready(app_client: TestClient, station: Station) -> None:
    assert station.started
    assert app_client.get("/readyz").json()["ready"]


def test_log_lines_are_json_objects() -> None:
    try:
        raise ValueError("a\nb")
    except ValueError:
        record = logging.LogRecord("x", 40, "f", 1, "failed: %s", ("ü\n",), sys.exc_info())
    line = JsonFormatter().format(record)
    assert "\n" not in line
    told = json.loads(line)
    assert (told["level"], told["message"]) == ("error", "failed: ü\n")
    assert "ValueError" in told["traceback"]
