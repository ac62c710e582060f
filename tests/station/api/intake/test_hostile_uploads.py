"""Mutated images, the same as those of `benchmarks/fuzz.py`, sent to a station that inspects."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from station.inspecting import Inspecting, inspecting

_BENCHMARKS = Path(__file__).parents[4] / "benchmarks"
_PATHS = ("Traceback", 'File "', "/home/", "/root/", "site-packages")


@pytest.fixture
def station_that_inspects(tiny_run: Path, tmp_path: Path) -> Iterator[Inspecting]:
    with inspecting(tmp_path / "station", f"board={tiny_run}") as station:
        yield station


def _send(station: Inspecting, count: int, *, bombs: bool) -> None:
    sys.path.insert(0, str(_BENCHMARKS))
    try:
        import fuzz_images
    finally:
        sys.path.remove(str(_BENCHMARKS))
    uploads = [fuzz_images.mutated(7, case) for case in range(count)]
    uploads += list(fuzz_images.bombs()) if bombs else []
    wrong: list[Any] = []
    verdicts = 0
    for number, (name, data) in enumerate(uploads):
        answer = _post(station, number, data)
        verdicts += answer.status_code == 200
        if answer.status_code not in (200, 413, 422, 503):
            wrong.append((name, answer.status_code, answer.text[:300]))
        if any(word in answer.text for word in _PATHS):
            wrong.append((name, answer.text[:300]))
        if answer.headers["content-type"] != "application/json":
            wrong.append((name, answer.headers["content-type"]))
    assert not wrong
    assert 0 < verdicts < len(uploads)
    stored = station.parts()
    assert len(stored) >= count // 2
    assert all((part.verdict is None) != (part.error is None) for part in stored)


def _post(station: Inspecting, number: int, data: bytes) -> Any:
    """Send by the three ways that there are, under names that would like to be paths."""
    name = ("../../etc/passwd", "a\x00.png", "x" * 300, "C:\\con.png")[number % 4]
    if number % 3 == 0:
        return station.send(data)
    if number % 3 == 1:
        form = {"image": (name, data, "image/png")}
        return station.client.post("/api/v1/inspect", files=form)
    return station.client.post(
        "/api/v1/inspect",
        content=data,
        headers={"Content-Type": "application/octet-stream", "X-Flawmap-Name": "../x"},
    )


def test_hostile_images_get_an_answer(station_that_inspects: Inspecting) -> None:
    _send(station_that_inspects, 100, bombs=False)


@pytest.mark.long
def test_two_thousand_hostile_images(station_that_inspects: Inspecting) -> None:
    _send(station_that_inspects, 2000, bombs=True)
