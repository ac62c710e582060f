"""A folder that pictures are dropped into."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import flawmap
from flawmap import FlawmapError, UsageError
from flawmap.images import write_png
from flawmap.inspector import watch as module

LIMIT = 30.0  # seconds after which a test stops waiting


class Camera:
    """A watched folder, and what has been told of it."""

    def __init__(self, run: Path, place: Path) -> None:
        self.run = run
        self.folder = place / "dropped"
        self.folder.mkdir(exist_ok=True)
        self.json = place / "lines.jsonl"
        self.out = place / "marked"

    def drop(self, name: str, seed: int = 0) -> Path:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        write_png(path, np.random.default_rng(seed).integers(0, 256, (40, 50, 3), np.uint8))
        return path

    def lines(self) -> list[dict[str, Any]]:
        if not self.json.exists():
            return []
        return [json.loads(line) for line in self.json.read_text().splitlines()]

    def names(self) -> list[str]:
        return [Path(line["path"]).name for line in self.lines()]

    def watch_until(self, done: Callable[[], bool], **options: Any) -> int:
        end = time.monotonic() + LIMIT
        count = flawmap.watch(
            self.run, self.folder, json_file=self.json, out=self.out, threads=1,
            poll=0.01, settle=0.05, stop=lambda: done() or time.monotonic() > end, **options,
        )  # fmt: skip
        assert time.monotonic() < end, "it did not come to it"
        return count


@pytest.fixture
def camera(tiny_run, tmp_path) -> Camera:
    return Camera(tiny_run, tmp_path)


def test_what_is_there_and_what_comes_is_inspected_once(camera):
    camera.drop("b.png", 1)
    camera.drop("sub/a.png", 2)
    came = threading.Timer(0.3, lambda: camera.drop("c.png", 3))
    came.start()
    assert camera.watch_until(lambda: len(camera.lines()) == 3) == 3
    assert sorted(camera.names()) == ["a.png", "b.png", "c.png"]
    (line,) = [x for x in camera.lines() if x["path"].endswith("b.png")]
    alone = flawmap.Inspector.load(camera.run, threads=1).inspect(camera.folder / "b.png")
    assert line["score"] == alone.score
    assert line["verdict"] == alone.verdict
    assert sorted(p.name for p in camera.out.iterdir()) == [
        "b_map.npy", "b_mask.png", "b_overlay.png",
        "c_map.npy", "c_mask.png", "c_overlay.png", "sub",
    ]  # fmt: skip


def test_after_a_restart_only_what_is_new(camera):
    camera.drop("a.png")
    camera.watch_until(lambda: len(camera.lines()) == 1)
    camera.drop("b.png")
    assert camera.watch_until(lambda: len(camera.lines()) == 2) == 1
    assert camera.names() == ["a.png", "b.png"]


def test_a_line_cut_short_by_a_kill_is_done_again(camera):
    camera.drop("a.png")
    camera.watch_until(lambda: len(camera.lines()) == 1)
    whole = camera.json.read_bytes()
    camera.json.write_bytes(whole + whole[: len(whole) // 2])
    camera.drop("b.png")
    camera.watch_until(lambda: camera.json.read_bytes().count(b"\n") == 2)
    assert camera.names() == ["a.png", "b.png"]


def test_a_picture_written_anew_is_inspected_again(camera):
    path = camera.drop("a.png", 1)
    camera.watch_until(lambda: len(camera.lines()) == 1)
    camera.drop("a.png", 2)
    os.utime(path, ns=(1, 1))
    camera.watch_until(lambda: len(camera.lines()) == 2)
    first, second = camera.lines()
    assert first["path"] == second["path"]
    assert first["score"] != second["score"]


def test_a_picture_still_being_written_is_waited_for(camera):
    data = camera.drop("a.png").read_bytes()
    path = camera.folder / "a.png"
    path.write_bytes(data[:200])

    def grow() -> None:
        path.write_bytes(data)

    threading.Timer(0.4, grow).start()
    camera.watch_until(lambda: bool(camera.lines()))
    (line,) = camera.lines()
    assert "error" not in line
    assert line["bytes"] == len(data)


def test_a_broken_picture_gets_a_line_in_the_end(camera, monkeypatch):
    monkeypatch.setattr(module, "_PATIENCE", 0.2)
    (camera.folder / "a.png").write_bytes(b"no picture")
    camera.watch_until(lambda: bool(camera.lines()))
    (line,) = camera.lines()
    assert "a.png" in line["error"]


def test_the_same_stem_twice_is_not_written_over(camera):
    from PIL import Image

    camera.drop("a.png")
    Image.new("RGB", (30, 30)).save(camera.folder / "a.bmp")
    camera.watch_until(lambda: len(camera.lines()) == 2)
    overlays = {p.name for p in camera.out.glob("*_overlay.png")}
    assert len(overlays) == 2
    assert "a_overlay.png" in overlays


def test_its_own_output_below_the_folder_is_no_picture(camera):
    camera.out = camera.folder / "marked"
    camera.drop("a.png")
    camera.watch_until(lambda: bool(camera.lines()))
    again = time.monotonic() + 0.4
    assert camera.watch_until(lambda: time.monotonic() > again) == 0


def test_calls_that_make_no_sense(camera, tmp_path):
    with pytest.raises(UsageError, match="No such folder"):
        flawmap.watch(camera.run, tmp_path / "no", json_file=camera.json)
    with pytest.raises(UsageError, match="another folder as --out"):
        flawmap.watch(camera.run, camera.folder, json_file=camera.json, out=camera.folder)
    camera.json.write_text('{"path": "a.png", "score": 1}\n')
    with pytest.raises(FlawmapError, match=r"Line 1 of .* is none of --watch"):
        camera.watch_until(lambda: True)


def test_the_verb_ends_well_with_ctrl_c(camera, flawmap_process):
    import signal

    camera.drop("a.png")
    command, environment = flawmap_process
    words = ["predict", camera.run, "--watch", camera.folder, "--json", camera.json]
    process = subprocess.Popen(
        [*command, *words],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # as from a terminal: what a shell starts in the background inherits it ignored
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    end = time.monotonic() + LIMIT
    while not camera.lines() and time.monotonic() < end:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 0, err
    assert b"a.png" in out
    assert b"1 image:" in out
