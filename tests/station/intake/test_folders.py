"""Watched folders as sources of parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flawmap.errors import UsageError
from flawmap.inspection.watching import skipped
from flawmap.station.intake import folders
from station.inspecting import Inspecting, draw_png, inspecting, wait_until


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "SETTLED", 0.02)
    monkeypatch.setattr(folders, "_PATIENCE", 0.2)
    monkeypatch.setattr(folders, "_RETRY", 0.05)


@pytest.fixture
def dropped(tmp_path: Path) -> Path:
    (folder := tmp_path / "dropped").mkdir()
    return folder


def watched(tmp_path: Path, run: Path, folder: Path, **settings: Any) -> Any:
    return inspecting(tmp_path / "data", f"board={run}", watch=(str(folder),), **settings)


def test_each_file_is_one_part_across_restarts(
    tiny_run: Path, tmp_path: Path, dropped: Path
) -> None:
    (dropped / "SN 1.png").write_bytes(draw_png(1))
    with watched(tmp_path, tiny_run, dropped) as line:
        wait_until(lambda: len(line.parts()) == 1)
        (dropped / "SN 2.png").write_bytes(draw_png(2))
        wait_until(lambda: len(line.parts()) == 2)
    (dropped / "SN 3.png").write_bytes(draw_png(1))  # the same image is another part
    with inspecting(tmp_path / "data") as line:
        wait_until(lambda: len(line.parts()) == 3)
        (dropped / "SN 2.png").write_bytes(draw_png(4))  # rewritten
        wait_until(lambda: len(line.parts()) == 4)
    parts = line.parts()
    assert [part.number for part in parts] == ["SN 1", "SN 2", "SN 3", "SN 2"]
    first = parts[0]
    assert first.source == "folder:dropped"
    assert first.record["path"] == str(dropped / "SN 1.png")
    assert first.record["modified_ns"] == (dropped / "SN 1.png").stat().st_mtime_ns
    assert first.verdict is not None


def test_a_file_that_is_still_written_is_waited_for(
    tiny_run: Path, tmp_path: Path, dropped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "_PATIENCE", 60.0)  # the machine may be busy
    data = draw_png(1, (300, 300))
    with watched(tmp_path, tiny_run, dropped) as line, (dropped / "a.png").open("wb") as file:
        for at in range(0, len(data), len(data) // 10 + 1):
            file.write(data[at : at + len(data) // 10 + 1])
            file.flush()
            line.send(draw_png(7))  # takes a moment
        file.close()
        wait_until(lambda: any(part.number == "a" for part in line.parts()))
        assert [part.error for part in line.parts()] == [None] * len(line.parts())


def test_a_broken_file_becomes_a_part_without_verdict(
    tiny_run: Path, tmp_path: Path, dropped: Path
) -> None:
    (dropped / "broken.png").write_bytes(draw_png(1)[:200])
    (dropped / "large.png").write_bytes(bytes(2**20 + 1))
    (dropped / "note.txt").write_bytes(b"not listed")
    with watched(tmp_path, tiny_run, dropped, upload_megabytes=1) as line:
        wait_until(lambda: len(line.parts()) == 2)
    errors = {part.number: part.error or "" for part in line.parts()}
    assert "broken.png" in errors["broken"]
    assert "large.png" in errors["large"]


def test_what_is_not_inspected_is_logged_once(
    tiny_run: Path,
    tmp_path: Path,
    dropped: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(skipped, "_LASTING", 0.1)
    (dropped / "a.gif").write_bytes(b"")
    for name in ("b.png", "b_label.png"):
        (dropped / name).write_bytes(draw_png(1))
    with watched(tmp_path, tiny_run, dropped) as line:
        wait_until(lambda: len(line.parts()) == 2 and str(dropped / "a.gif") in caplog.text)
    assert caplog.text.count(f"Watched folder {dropped}: 1 file") == 1


def test_a_full_queue_is_waited_for(tiny_run: Path, tmp_path: Path, dropped: Path) -> None:
    for seed in range(12):
        (dropped / f"{seed}.png").write_bytes(draw_png(seed))
    with watched(tmp_path, tiny_run, dropped, queue_items=2) as line:
        wait_until(lambda: len(line.parts()) == 12)
    assert {part.number for part in line.parts()} == {str(seed) for seed in range(12)}


def test_a_source_is_switched_off_and_on_while_the_station_runs(
    tiny_run: Path, tmp_path: Path, dropped: Path
) -> None:
    with watched(tmp_path, tiny_run, dropped) as line:
        line.client.headers.update(managing(line))
        (source,) = line.client.get("/api/v1/sources").json()
        assert (source["name"], source["running"], source["problem"]) == ("dropped", True, None)
        place = f"/api/v1/sources/{source['id']}"
        assert line.client.post(f"{place}/disable").json()["running"] is False
        (dropped / "a.png").write_bytes(draw_png(1))
        assert line.client.post(f"{place}/enable").json()["running"] is True
        wait_until(lambda: len(line.parts()) == 1)
        assert line.client.post("/api/v1/sources/99/enable").status_code == 404


def test_a_folder_keeps_its_product_when_that_is_renamed(
    tiny_run: Path, tmp_path: Path, dropped: Path
) -> None:
    started = f"board={tiny_run}"
    with inspecting(tmp_path / "data", started, watch=(f"board={dropped}",)) as line:
        answer = line.client.post(
            "/api/v1/products/1/name", json={"name": "panel"}, headers=managing(line)
        )
        assert answer.status_code == 200
    (dropped / "a.png").write_bytes(draw_png(1))
    with inspecting(tmp_path / "data", started, watch=(f"board={dropped}",)) as line:
        wait_until(lambda: [part.product_id for part in line.parts()] == [1])


def managing(line: Inspecting) -> dict[str, str]:
    from station.inspecting import add_key

    return add_key(line.station, "inspect read manage")


def test_a_folder_that_disappears_is_a_problem_that_ends(
    tiny_run: Path, tmp_path: Path, dropped: Path
) -> None:
    from flawmap.station.intake.sources import sources_of

    with watched(tmp_path, tiny_run, dropped) as line:
        sources = sources_of(line.station)
        dropped.rename(tmp_path / "away")
        wait_until(lambda: "no folder" in (sources.problem(1) or ""))
        (tmp_path / "away").rename(dropped)
        (dropped / "a.png").write_bytes(draw_png(1))
        wait_until(lambda: len(line.parts()) == 1)
        wait_until(lambda: sources.problem(1) is None)


@pytest.mark.parametrize(
    ("watch", "says"), [("board=/none", "No such folder"), ("other={}", "products: board")]
)
def test_wrong_folders_are_refused(
    tiny_run: Path, tmp_path: Path, dropped: Path, watch: str, says: str
) -> None:
    text = watch.format(dropped)
    with (
        pytest.raises(UsageError, match=says),
        inspecting(tmp_path / "data", f"board={tiny_run}", watch=(text,)),
    ):
        pass
