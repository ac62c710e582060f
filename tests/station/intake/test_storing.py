"""Storing while the database refuses rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import DataError, IntegrityError

from flawmap.station.intake.submission import Submission
from station.inspecting import Inspecting, draw_png, inspecting


@pytest.fixture
def line(tiny_run: Path, tmp_path: Path, database_url: str | None) -> Iterator[Inspecting]:
    with inspecting(tmp_path / "data", f"board={tiny_run}", database=database_url) as line:
        yield line


@pytest.mark.parametrize(("failures", "status", "stored"), [(1, 200, 1), (2, 500, 0)])
def test_a_conflict_with_another_change_is_tried_once_more(
    line: Inspecting, monkeypatch: pytest.MonkeyPatch, failures: int, status: int, stored: int
) -> None:
    store: Callable[..., Any] = line.station.writer.store
    conflicts = [IntegrityError("", {}, Exception("a foreign key"))] * failures

    def sometimes(parts: Any) -> Any:
        if conflicts:
            raise conflicts.pop()
        return store(parts)

    monkeypatch.setattr(line.station.writer, "store", sometimes)
    assert line.send(draw_png(0)).status_code == status
    assert len(line.parts()) == stored


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_part_that_does_not_fit_costs_no_other_and_no_time(line: Inspecting) -> None:
    keys = ["a", "b", "k" * 101, "c", "d"]
    images = [Submission(draw_png(seed), key=key) for seed, key in enumerate(keys)]
    with line.intake._storer._handling:  # those behind the first are stored together
        futures = line.intake.submit_all(images)
        time.sleep(0.5)
    failed = [future.exception(10.0) for future in futures]
    assert isinstance(failed.pop(2), DataError)
    assert failed == [None] * 4
    assert {part.key for part in line.parts()} == {"a", "b", "c", "d"}
