"""Processes on this machine give what one process gives, however they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import flawmap
from flawmap import FlawmapError, UsageError
from flawmap.data.image_io.images import write_png
from flawmap.inspection.many.local import LocalCrew
from flawmap.inspection.output.lines import read_lines
from flawmap.inspection.record import InspectionRecord
from flawmap.utils.files import OURS
from inspection.many.conftest import untimed


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[str]]:
    """The processes that the test starts."""
    found: list[subprocess.Popen[str]] = []
    start = LocalCrew.start

    def noting(crew: LocalCrew) -> int:
        number = start(crew)
        found.append(crew._processes[number])
        return number

    monkeypatch.setattr(LocalCrew, "start", noting)
    return found


def files(folder: Path) -> dict[str, bytes]:
    """Content of all files but those of killed processes, which the next call sweeps."""
    found = [path for path in folder.rglob("*.*") if not path.name.startswith(OURS)]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_records_and_images_are_those_of_threads(
    run_copy: Path, twelve: Path, tmp_path: Path, started: list[subprocess.Popen[str]]
) -> None:
    for on in ("threads", "local"):
        options = {"out": tmp_path / on, "json_file": tmp_path / f"{on}.jsonl"}
        records = flawmap.predict(run_copy, [twelve], on=on, threads=1, **options)  # type: ignore[arg-type]
        assert [record for _, record in read_lines(options["json_file"])] == records
        for record in records:
            assert record.map is None or record.map.file.startswith(f"{on}/")
    assert len(started) == 1, "12 images are not worth another process"
    lines = [(tmp_path / f"{on}.jsonl") for on in ("threads", "local")]
    threads, local = (untimed([record for _, record in read_lines(one)]) for one in lines)
    for record in threads + local:
        record.pop("map", None)
    assert threads == local
    assert len(local) == 12
    assert "error" in local[5]
    assert files(tmp_path / "threads") == files(tmp_path / "local")


@pytest.mark.posix
def test_the_images_of_a_killed_process_are_inspected_by_another(
    run_copy: Path, twelve: Path, tmp_path: Path, started: list[subprocess.Popen[str]]
) -> None:
    killed: list[int] = []

    def kill(record: InspectionRecord, total: int) -> None:
        if not killed:
            killed.append(started[0].pid)
            started[0].kill()

    out = tmp_path / "out"
    options = {"on": "local", "workers": 2, "threads": 1, "show": kill, "out": out}
    found = flawmap.predict(run_copy, [twelve], **options)  # type: ignore[arg-type]
    expected = flawmap.predict(run_copy, [twelve], out=tmp_path / "expected", threads=1)
    assert len(started) == 3
    assert [x.path for x in found] == [x.path for x in expected]
    assert [x.score for x in found] == [x.score for x in expected]
    assert files(out) == files(tmp_path / "expected")
    assert all(process.poll() is not None for process in started)


def test_what_keeps_workers_from_working_is_the_error_of_the_call(
    run_copy: Path, twelve: Path, tmp_path: Path
) -> None:
    for options, kind, said in (
        ({"backend": "tensorrt"}, UsageError, "Unknown backend 'tensorrt'"),
        ({"device": "GPU.7", "backend": "onnxruntime"}, FlawmapError, "no device"),
    ):
        lines = tmp_path / "lines.jsonl"
        with pytest.raises(kind, match=said):
            flawmap.predict(run_copy, [twelve], json_file=lines, on="local", workers=2, **options)  # type: ignore[arg-type]
        assert not lines.exists()


def test_a_warning_of_every_worker_is_given_once(
    run_copy: Path, twelve: Path, caplog: pytest.LogCaptureFixture
) -> None:
    deep = np.random.default_rng(0).integers(0, 4000, (64, 64), np.uint16)
    for number in range(3):
        write_png(twelve / f"deep{number}.png", deep)
    path = run_copy / "manifest.json"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('"jpeg_sha256": "', '"jpeg_sha256": "0'), encoding="utf-8")
    flawmap.predict(run_copy, [twelve], on="local", workers=2)
    assert caplog.text.count("The thresholds of") == ("jpeg_sha256" in text)
    assert caplog.text.count("16 bits") <= 1


@pytest.mark.posix
@pytest.mark.slow
def test_ctrl_c_ends_all_processes_and_leaves_whole_lines(
    run_copy: Path, twelve: Path, tmp_path: Path, flawmap_process: tuple[list[str], dict[str, str]]
) -> None:
    command, environment = flawmap_process
    (listing := tmp_path / "list.txt").write_text(f"{twelve}/1.png\n" * 5000, encoding="utf-8")
    lines, out = tmp_path / "lines.jsonl", tmp_path / "out"
    call = ["predict", run_copy, "--list", listing, "--json", lines, "--out", out, "--on", "local"]
    process = subprocess.Popen(
        [*command, *map(str, call), "--workers", "2"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while not lines.is_file() or lines.stat().st_size < 10_000:
        assert process.poll() is None
        time.sleep(0.05)
    workers = children(process.pid)
    os.kill(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "none is cut off" in said
    assert "Traceback" not in said
    assert [number for number, _ in read_lines(lines)]
    if sys.platform == "linux":
        assert len(workers) == 2
        assert not [one for one in workers if Path(f"/proc/{one}").exists()]
    assert not list(out.glob(".flawmap-*"))


def children(process: int) -> list[str]:
    """Numbers of the processes that a process has started, where Linux tells them."""
    return [
        number
        for tasks in Path(f"/proc/{process}/task").glob("*/children")
        for number in tasks.read_text(encoding="ascii").split()
    ]
