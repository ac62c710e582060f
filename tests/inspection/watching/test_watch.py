"""A folder that pictures are dropped into."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import flawmap
from flawmap import FlawmapError, UsageError
from flawmap.data.image_io.images import write_png
from flawmap.inspection import settings
from flawmap.inspection.record import StoredMap
from flawmap.inspection.watching import arrivals, skipped
from flawmap.inspection.watching import watch as module
from flawmap.inspection.watching.ledger import Ledger
from flawmap.runtime.onnxruntime import OnnxRuntime
from inspection.records import make_record

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
    monkeypatch.setattr(module, "_RETRY", 0.05)
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


def test_no_two_images_have_one_name_for_their_output(tmp_path):
    """Nor where a disk does not tell capitals apart, nor after a restart."""
    paths = ["a.png", "a.jpg", "a_jpg.png", "A.png", "a.JPG", "b/a.png", "a.png", "a.jpg"]
    with Ledger(tmp_path / "lines.jsonl", tmp_path / "out") as ledger:
        names = [ledger.name(path, Path()) for path in paths]
        for path, name in list(zip(paths, names, strict=True))[:6]:
            stored = StoredMap(file=f"out/{name}_map.npy", size=(4, 4), score=0.5)
            ledger.add(make_record(path, bytes=1, modified_ns=1, map=stored))
    assert names[0] == names[6] == "a"
    assert names[1] == names[7] == "a_jpg"
    assert len({name.lower() for name in names}) == 6
    with Ledger(tmp_path / "lines.jsonl", tmp_path / "out") as ledger:
        assert [ledger.name(path, Path()) for path in reversed(paths)] == names[::-1]


def test_equal_names_in_two_folders_have_output_of_their_own(tiny_run, tmp_path):
    """As of a folder a day, with one --out and one file of lines for all of them."""
    for day in range(2):
        (camera := Camera(tiny_run, tmp_path)).folder = tmp_path / f"day{day}"
        camera.folder.mkdir()
        camera.drop("a.png", day)
        camera.watch_until(lambda camera=camera, day=day: len(camera.lines()) == day + 1)
    stored = [Path(line["map"]["file"]).name for line in camera.lines()]
    assert stored == ["a_map.npy", "a_png_map.npy"]
    judged = flawmap.judge(tiny_run, camera.json)
    assert [record.score for record in judged] == [line["score"] for line in camera.lines()]


def test_its_own_output_below_the_folder_is_no_picture(camera):
    camera.out = camera.folder / "marked"
    camera.drop("a.png")
    camera.watch_until(lambda: bool(camera.lines()))
    again = time.monotonic() + 0.4
    assert camera.watch_until(lambda: time.monotonic() > again) == 0


def test_calls_that_make_no_sense(camera, tmp_path):
    with pytest.raises(UsageError, match="No such folder"):
        flawmap.watch(camera.run, tmp_path / "no", json_file=camera.json)
    for nothing in (None, "-"):
        with pytest.raises(UsageError, match="needs a --json file"):
            flawmap.watch(camera.run, camera.folder, json_file=nothing)
    with pytest.raises(UsageError, match="another folder as --out"):
        flawmap.watch(camera.run, camera.folder, json_file=camera.json, out=camera.folder)
    camera.json.write_text(make_record().to_json() + "\n")
    with pytest.raises(FlawmapError, match=r"Line 1 of .* was not written by --watch"):
        camera.watch_until(lambda: True)


@pytest.mark.posix
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


def test_two_do_not_keep_the_same_lines(camera):
    camera.drop("a.png")
    with Ledger(camera.json):
        with pytest.raises(FlawmapError, match="Another process is writing lines"):
            camera.watch_until(lambda: True)
        with pytest.raises(FlawmapError, match="Another process is writing lines"):
            flawmap.predict(camera.run, [camera.folder], json_file=camera.json)
    assert camera.watch_until(lambda: bool(camera.lines())) == 1


def test_lines_that_were_moved_away_begin_anew(camera):
    old = camera.json.with_suffix(".old")
    camera.drop("a.png")

    def moved_and_begun_anew() -> bool:
        if not old.exists() and camera.names() == ["a.png"]:
            camera.json.rename(old)
            camera.drop("b.png")
        return camera.names() == ["b.png"]

    camera.watch_until(moved_and_begun_anew)
    assert "a.png" in old.read_text()


def test_an_image_that_the_graph_fails_on_gets_its_line_once(camera, monkeypatch):
    monkeypatch.setattr(module, "_PATIENCE", 0.2)
    monkeypatch.setattr(module, "_RETRY", 0.05)
    camera.drop("a.png", 1)
    write_png(camera.folder / "b.png", np.ones((40, 50, 3), np.uint8))
    call = OnnxRuntime.__call__

    def failing(self: OnnxRuntime, images: np.ndarray) -> Any:
        if images.max() == 1:
            raise FlawmapError("the graph gave no number")
        return call(self, images)

    monkeypatch.setattr(OnnxRuntime, "__call__", failing)
    threading.Timer(0.5, lambda: camera.drop("c.png", 2)).start()
    assert camera.watch_until(lambda: len(camera.lines()) == 3) == 3
    failed = {Path(line["path"]).name: line for line in camera.lines() if "error" in line}
    assert list(failed) == ["b.png"]
    assert "the graph gave no number" in failed["b.png"]["error"]
    again = time.monotonic() + 0.4
    assert camera.watch_until(lambda: time.monotonic() > again) == 0


def test_pictures_that_cannot_be_written_are_one_images_error(camera):
    camera.drop("x" * 247 + ".png")
    camera.drop("z.png")
    camera.watch_until(lambda: len(camera.lines()) == 2)
    errors = {Path(line["path"]).name[0]: "error" in line for line in camera.lines()}
    assert errors == {"x": True, "z": False}


def test_changed_settings_are_taken_over_without_a_restart(run_copy, tmp_path):
    camera = Camera(run_copy, tmp_path)
    for index in range(3):
        camera.drop(f"{index}.png", index)
    said: list[str] = []

    def change() -> None:
        flawmap.regions(run_copy, min_area=10**6)
        camera.drop("new.png", 9)

    def raise_all(value: dict[str, Any]) -> None:
        for name in ("reject", "review", "pixel"):
            value["calibration"][name]["value"] = -1.0

    manifest = run_copy / "manifest.json"
    value = json.loads(manifest.read_text())
    raise_all(value)
    manifest.write_text(json.dumps(value))
    threading.Timer(1.0, change).start()
    camera.watch_until(lambda: len(camera.lines()) == 4, say=said.append)
    verdicts = {Path(line["path"]).stem: line["verdict"] for line in camera.lines()}
    assert verdicts == {"0": "reject", "1": "reject", "2": "reject", "new": "good"}
    assert said == [f"{run_copy} was changed (filters): the new settings apply from now on."]


def test_half_a_manifest_leaves_the_settings_before(run_copy, tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "_AGAIN", 0.05)
    monkeypatch.setattr(settings, "_PATIENCE", 0.2)
    camera = Camera(run_copy, tmp_path)
    manifest = run_copy / "manifest.json"
    whole = manifest.read_bytes()
    said: list[str] = []

    def cut() -> None:
        manifest.write_bytes(whole[:500])
        camera.drop("a.png")

    threading.Timer(0.6, cut).start()
    threading.Timer(1.4, lambda: manifest.write_bytes(whole)).start()
    camera.watch_until(lambda: bool(camera.lines()) and len(said) == 2, say=said.append)
    assert "error" not in camera.lines()[0]
    assert "cannot be used" in said[0]
    assert said[1] == f"{run_copy} can be read again, and its settings are unchanged."


class CountingOs:
    """The module ``os``, which counts how often folders are listed and paths are looked at."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        self.counts[name] += 1
        return getattr(os, name)


def test_idle_costs_nothing_that_grows_with_the_images(tmp_path, monkeypatch):
    """Many more files than are looked at in one turn, in a few folders."""
    monkeypatch.setattr(arrivals, "_AGAIN", 0.0)
    monkeypatch.setattr(arrivals, "_LISTING_SHARE", 0)
    for folder in range(3):
        (tmp_path / f"f{folder}").mkdir()
        for index in range(800):
            (tmp_path / f"f{folder}" / f"{index}.png").touch()
    done = AllDone()
    watched = arrivals.Arrivals(tmp_path, done, 0.0)
    watched.update()
    watched.update()
    monkeypatch.setattr(arrivals, "_SWEEP", 0)
    monkeypatch.setattr(arrivals, "os", counting := CountingOs())
    for _ in range(10):
        watched.update()
    assert (counting.counts["scandir"], counting.counts["stat"]) == (0, 10 * 4)
    done.but = str(tmp_path / "f1" / "new.png")
    Path(done.but).touch()
    watched.update()
    assert [version[0] for version in watched.ready(9)] == [done.but]
    assert (counting.counts["scandir"], counting.counts["listdir"]) == (0, 1)


class AllDone:
    """Every version, but those of one file."""

    but = ""

    def __contains__(self, version: object) -> bool:
        return isinstance(version, tuple) and version[0] != self.but


def test_a_file_written_over_in_place_is_found_in_turn(tmp_path, monkeypatch):
    paths = [tmp_path / f"{index}.png" for index in range(200)]
    for path in paths:
        path.touch()
    done = {(str(p), 0, p.stat().st_mtime_ns) for p in paths}
    watched = arrivals.Arrivals(tmp_path, done, 0.0)
    watched.update()
    with paths[150].open("wb") as file:
        file.write(b"more")
    end = time.monotonic() + 20
    while not (ready := watched.ready(9)):
        assert time.monotonic() < end
        time.sleep(0.01)
        watched.update()
    assert [version[:2] for version in ready] == [(str(paths[150]), 4)]


def test_folders_come_go_and_loop(tmp_path):
    watched = arrivals.Arrivals(tmp_path, set(), 0.0, tmp_path / "out")
    (tmp_path / "day" / "hour").mkdir(parents=True)
    (tmp_path / "day" / "hour" / "a.png").touch()
    (tmp_path / "day" / "loop").symlink_to(tmp_path, target_is_directory=True)
    for name in (".hidden", "out", "day/.tmp"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "b.png").touch()
    (tmp_path / "day" / "._c.png").touch()
    watched.update()
    names = [Path(version[0]).relative_to(tmp_path) for version in watched.ready(9)]
    assert names == [Path("day/hour/a.png")]
    shutil.rmtree(tmp_path / "day")
    watched.update()
    assert watched.ready(9) == []
    (tmp_path / "day").mkdir()
    (tmp_path / "day" / "d.png").touch()
    time.sleep(0.05)
    watched.update()
    assert [Path(version[0]).name for version in watched.ready(9)] == ["d.png"]


def test_a_file_renamed_over_another_is_seen(tmp_path):
    (tmp_path / "a.png").touch()
    first = (str(tmp_path / "a.png"), 0, (tmp_path / "a.png").stat().st_mtime_ns)
    watched = arrivals.Arrivals(tmp_path, {first}, 0.0)
    time.sleep(0.05)
    (tmp_path / ".new").write_bytes(b"more")
    (tmp_path / ".new").rename(tmp_path / "a.png")
    watched.update()
    assert [version[:2] for version in watched.ready(9)] == [(first[0], 4)]


VIEWS = ["001.png", *(f"001_{word}.png" for word in ("label", "seg", "gt", "mask", "annot"))]


@pytest.mark.parametrize("names", [VIEWS, VIEWS[::-1]])
def test_every_view_is_inspected_whichever_arrives_first(tmp_path, names):
    watched = arrivals.Arrivals(tmp_path, set(), 0.0)
    for name in names:
        (tmp_path / name).touch()
        time.sleep(0.02)
        watched.update()
    assert {Path(version[0]).name for version in watched.ready(9)} == set(VIEWS)


@pytest.mark.parametrize("endings", [("map.npy", "mask.png"), ("mask.png", "map.npy")])
def test_flawmaps_own_output_is_skipped_whichever_arrives_first(tmp_path, endings, monkeypatch):
    monkeypatch.setattr(skipped, "_LASTING", 0.0)
    watched = arrivals.Arrivals(tmp_path, set(), 0.0)
    for ending in endings:
        (tmp_path / f"001_{ending}").touch()
        time.sleep(0.02)
        watched.update()
    assert watched.ready(9) == []
    watched.left_out()
    assert [line.partition(" left out")[0] for line in watched.left_out()] == [
        "1 image written by flawmap"
    ]


class ClosedOs(CountingOs):
    """The module ``os``, for which no folder can be listed."""

    def listdir(self, path: str) -> list[str]:
        raise PermissionError(path)

    scandir = listdir


def test_a_folder_that_cannot_be_listed_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(skipped, "_LASTING", 0.0)
    monkeypatch.setattr(arrivals, "os", ClosedOs())
    watched = arrivals.Arrivals(tmp_path, set(), 0.0)
    assert watched.left_out() == []
    watched.update()
    (line,) = watched.left_out()
    assert line.startswith(f"1 folder that cannot be listed left out, such as {tmp_path}; check")


def test_what_is_not_inspected_is_said_once(camera, monkeypatch):
    monkeypatch.setattr(skipped, "_LASTING", 0.1)
    said: list[str] = []
    for name in ("a.gif", "b.gif", "notes.txt"):
        (camera.folder / name).touch()
    camera.drop("masks/c.png")
    camera.drop("d.png")
    camera.watch_until(lambda: len(said) == 2, say=said.append)
    assert said == [
        f"1 mask of other images left out, such as {camera.folder / 'masks/c.png'}; rename those "
        "that show a part. Further ones are not reported.",
        f"2 files with endings that flawmap does not read (.gif) left out, such as "
        f"{camera.folder / 'a.gif'}; save "
        "images as PNG, JPEG, BMP, TIFF or WebP. Further ones are not reported.",
    ]
