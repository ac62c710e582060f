"""A real server process: killed, overloaded, and stopped."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from station.inspecting import draw_png, wait_until
from station.process import Sender, check_stored, kill_under_load, load, prepare, start

pytestmark = pytest.mark.posix


@pytest.mark.slow
def test_every_answered_part_survives_kills(tiny_run: Path, tmp_path: Path) -> None:
    images = [draw_png(seed, (96, 96)) for seed in range(4)]
    counts = kill_under_load(tmp_path / "data", tiny_run, images, kills=2, seed=1)
    assert counts["answered"] > 0
    assert counts["stored"] >= counts["answered"]


@pytest.mark.slow
def test_an_overloaded_station_refuses_and_loses_nothing(tiny_run: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    server = start(data, [f"board={tiny_run}"], prepare(data))
    try:
        with load(server, [draw_png(0, (96, 96))], senders=96) as found:
            wait_until(lambda: found.statuses[503] >= 96 and found.statuses[200] >= 8)
        before = server.peak_and_present_mb()[1]
        assert set(found.statuses) <= {200, 503}
        assert found.statuses[503] > 0
        assert before < 350
    finally:
        assert server.end() == 0
    assert check_stored(data, found.answered, found.sent)["stored"] == found.statuses[200]


def test_a_stop_signal_answers_what_is_in_work(tiny_run: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    server = start(data, [f"board={tiny_run}"], prepare(data))
    with load(server, [draw_png(0, (96, 96))], senders=3) as found:
        wait_until(lambda: found.answered)
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(30) == 0
    assert found.answered
    stored = check_stored(data, found.answered, found.sent)["stored"]
    assert stored == len(found.answered)


@pytest.mark.long
def test_two_stations_never_share_folder_or_port(tiny_run: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    server = start(data, [f"board={tiny_run}"], prepare(data))
    try:
        for words, says in (
            (["--data", str(data), "--port", "0"], "another"),
            (["--data", str(tmp_path / "b"), "--port", str(server.port)], "Give another --port"),
        ):
            done = subprocess.run(
                [sys.executable, "-m", "flawmap", "serve", *words],
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert done.returncode == 1
            assert says in done.stderr
            assert len(done.stderr.splitlines()) == 1
        assert Sender(server).send(draw_png(0))[0] == 200
    finally:
        server.end()


def test_small_answers_are_sent_at_once(tmp_path: Path) -> None:
    data = tmp_path / "data"
    server = start(data, [], prepare(data))
    try:
        sender, seconds = Sender(server), []
        for _ in range(9):
            status, _, taken = sender.send(b"")  # no product: refused without work
            assert status == 422
            seconds.append(taken)
        assert min(seconds) < 0.03  # else the kernel waits 40 ms for more to send
    finally:
        server.end()
