"""Commands as processes, several at once."""

from __future__ import annotations

import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from flawmap.benchmark import run as bench_module
from flawmap.benchmark.grid import Grid
from flawmap.benchmark.run import bench
from flawmap.benchmark.workers import commands as module
from flawmap.benchmark.workers.commands import Commands, KilledError
from flawmap.benchmark.workers.local import run_local, share_of_cores
from flawmap.errors import FlawmapError, UsageError


@pytest.fixture(autouse=True)
def python(monkeypatch: pytest.MonkeyPatch) -> None:
    """``flawmap CODE`` runs Python code, so that tests need no training."""
    monkeypatch.setattr(module, "_FLAWMAP", [sys.executable, "-c"])


def test_threads_are_shared(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr("flawmap.benchmark.workers.local.available_cores", lambda: 8)
    assert [share_of_cores(n) for n in (1, 2, 3, 9)] == [None, 4, 2, 1]
    file = tmp_path / "threads"
    code = f"import os; open({str(file)!r}, 'w').write(os.environ['OMP_NUM_THREADS'])"
    Commands(3).run([code])
    assert file.read_text() == "3"


def test_failures_and_kills_are_told_apart():
    with pytest.raises(FlawmapError, match="ended with status 3") as failure:
        Commands().run(["raise SystemExit(3)"])
    assert not isinstance(failure.value, KilledError)
    with pytest.raises(KilledError, match=f"signal {signal.SIGKILL:d}"):
        Commands().run(["import os, signal; os.kill(os.getpid(), signal.SIGKILL)"])


def test_jobs_run_side_by_side():
    meeting = threading.Barrier(3, timeout=30)
    run_local(range(3), lambda job, commands: meeting.wait(), 3)


def test_stopping_ends_the_commands_of_all_jobs():
    def job(number: int, commands: Commands) -> None:
        if number == 1:
            time.sleep(0.5)
            raise KeyboardInterrupt
        with pytest.raises(FlawmapError):
            commands.run(["import time; time.sleep(60)"])

    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_local(range(2), job, 2)
    assert time.monotonic() - start < 30


@pytest.fixture
def grid(tmp_path: Path) -> Grid:
    for name in ("gear", "cap"):
        (tmp_path / "data" / name).mkdir(parents=True)
    return Grid(data=tmp_path / "data", seed=(0, 1))


def test_workers_measure_every_cell_once(
    grid: Grid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    names: list[str] = []

    def stand_in(cell: Any, run: Path, commands: Commands) -> dict[str, Any]:
        names.append(cell.name)
        return {"seed": cell.seed}

    monkeypatch.setattr(bench_module, "measure", stand_in)
    files = bench(grid, tmp_path / "out", workers=3)
    assert sorted(names) == sorted(cell.name for cell in grid.cells())
    assert [path.stem for path in files] == [cell.name for cell in grid.cells()]
    bench(grid, tmp_path / "out", workers=3)
    assert len(names) == 4
    with pytest.raises(UsageError, match="1 or more"):
        bench(grid, tmp_path / "out", workers=0)


@pytest.mark.posix
def test_a_killed_training_is_continued(
    grid: Grid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    attempts: list[str] = []

    def stand_in(cell: Any, run: Path, commands: Commands) -> dict[str, Any]:
        attempts.append(cell.name)
        if attempts.count(cell.name) < 3:
            commands.run([f"import os; os.kill(os.getpid(), {signal.SIGKILL:d})"])
        return {"seed": cell.seed}

    monkeypatch.setattr(bench_module, "measure", stand_in)
    bench(grid, tmp_path / "out", workers=2)
    assert len(attempts) == 3 * 4
    assert not list((tmp_path / "out" / "runs").iterdir())
