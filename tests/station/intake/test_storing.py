"""Storing while the database refuses rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from station.inspecting import Inspecting, draw_png, inspecting


@pytest.fixture
def line(tiny_run: Path, tmp_path: Path) -> Iterator[Inspecting]:
    with inspecting(tmp_path / "data", f"board={tiny_run}") as line:
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
