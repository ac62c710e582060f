"""``flawmap predict``: its lines, its files, and input as it comes."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

import flawmap
from flawmap import FlawmapError, UsageError
from flawmap.data.image_io.images import read_image, write_png
from flawmap.inspection.bundle.manifest import read_manifest, settings_id
from flawmap.inspection.defects import Filters
from flawmap.inspection.output import delivery
from flawmap.inspection.output import overlay as marking
from flawmap.inspection.output.images import resize_map, resize_mask
from flawmap.inspection.output.lines import LinesFile
from flawmap.inspection.record import FORMAT, InspectionRecord
from flawmap.inspection.sources import list_images
from flawmap.utils.files import digest
from flawmap.visualization.colour import PREDICTED, outline, overlay
from inspection.records import make_record

WRITER = ["run", "precision", "backend"]
ORIGIN = [*WRITER, "device", "model", "settings", "image"]
KEYS = ["format", "path", "score", "p_value", "verdict", "defects", "milliseconds", *ORIGIN]


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def names(*inputs: Path, out: Path | None = None) -> list[str]:
    return [target.name for target in list_images(inputs, out)]


def mark_half(run: Path, images: Path, name: str = "part2.png") -> None:
    """Lower the pixel threshold so that the barely trained run marks something."""
    seen = flawmap.Inspector.load(run).inspect(images / name)
    path = run / "manifest.json"
    value = json.loads(path.read_text(encoding="utf-8"))
    value["calibration"]["pixel"]["value"] = float(np.median(seen.anomaly_map))
    path.write_text(json.dumps(value), encoding="utf-8")


def test_lines_in_input_order_with_the_keys_of_the_contract(
    run_copy: Path, images: Path, tmp_path: Path
) -> None:
    mark_half(run_copy, images)
    given = [images / "part10.png", images / "below", images / "part2.png"]
    shown: list[tuple[str, int]] = []
    records = flawmap.predict(
        run_copy,
        given,
        json_file=tmp_path / "new" / "lines.jsonl",
        show=lambda record, total: shown.append((record.path, total)),
    )
    text = (tmp_path / "new" / "lines.jsonl").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    assert lines == [record.to_dict() for record in records]
    assert [Path(line["path"]).name for line in lines] == ["part10.png", "part1.png", "part2.png"]
    assert shown == [(line["path"], 3) for line in lines]
    for line in lines:
        assert list(line) == KEYS
        assert line["verdict"] in ("good", "review", "reject")
        assert line["defects"]
        for defect in line["defects"]:
            assert list(defect) == ["box", "area", "peak", "length", "mean"]
            assert [type(v) for v in defect["box"]] == [int] * 4


def test_an_unreadable_file_gets_an_error_and_the_rest_go_on(
    run_copy: Path, images: Path, tmp_path: Path
) -> None:
    (images / "part3.png").write_text("not a picture", encoding="utf-8")
    (images / "part4.png").write_bytes(b"")
    out = tmp_path / "out"
    records = flawmap.predict(run_copy, [images], out=out, json_file=tmp_path / "l.jsonl")
    assert [Path(x.path).name for x in records] == [
        "part2.png", "part3.png", "part4.png", "part10.png", "part1.png",
    ]  # fmt: skip
    failed = {Path(x.path).name: x for x in records if x.failed}
    assert sorted(failed) == ["part3.png", "part4.png"]
    for name, record in failed.items():
        assert list(record.to_dict()) == ["format", "path", "error", *ORIGIN]
        assert len(record.error.splitlines()) == 1
        assert record.image == digest(images / name)
    assert len((tmp_path / "l.jsonl").read_text(encoding="utf-8").splitlines()) == 5
    assert not list(out.glob("part3*"))


def test_pictures_have_the_size_of_the_photograph(
    run_copy: Path, images: Path, tmp_path: Path
) -> None:
    mark_half(run_copy, images)
    out = tmp_path / "out"
    flawmap.predict(run_copy, [images], out=out)
    files = sorted(str(p.relative_to(out)) for p in out.rglob("*") if p.is_file())
    stems = ("below/part1", "part10", "part2")
    assert files == [f"{s}_{e}" for s in stems for e in ("map.npy", "mask.png", "overlay.png")]
    inspector = flawmap.Inspector.load(run_copy)
    for stem in stems:
        image = read_image(images / f"{stem}.png")
        assert read_image(out / f"{stem}_overlay.png").shape == image.shape
        mask = read_image(out / f"{stem}_mask.png")
        assert mask.shape == image.shape
        assert set(np.unique(mask)) <= {0, 255}
        seen = inspector.inspect(image)
        kept = np.load(out / f"{stem}_map.npy")
        assert kept.dtype == np.float32
        assert np.array_equal(kept, seen.anomaly_map)
        if image.shape[:2] == kept.shape:
            assert np.array_equal(mask[..., 0] > 0, seen.mask > 0)
        marked = (mask[..., 0] > 0).mean()
        assert marked == pytest.approx(float(seen.mask.mean()), abs=0.1)
    assert not np.array_equal(
        read_image(out / "part2_overlay.png"), read_image(images / "part2.png")
    )


def test_the_same_file_twice_and_stems_that_collide(tmp_path: Path) -> None:
    folder = touch(tmp_path / "a", "x.png", "x.jpg", "X.bmp", "x_png.tif")
    assert names(folder / "x.png", folder / "x.png", folder / "x.png") == ["x", "x_png", "x_2"]
    found = names(folder)
    assert len({name.lower() for name in found}) == 4
    other = touch(tmp_path / "b", "x.png")
    both = names(folder, other)
    assert len({name.lower() for name in both}) == 5


def test_folders_below_are_searched_in_natural_order(tmp_path: Path) -> None:
    touch(tmp_path, "b10/1.png", "b9/2.png", "b9/10.PNG", "9.png", "10.png", "notes.txt")
    assert names(tmp_path) == ["9", "10", "b9/2", "b9/10", "b10/1"]


def test_ground_truth_and_hidden_folders_are_no_photographs(tmp_path: Path) -> None:
    touch(tmp_path, "test/a/1.png", "ground_truth/a/1_mask.png", "Masks/1.png", "mask/1.png")
    touch(tmp_path, ".thumbnails/1.png", "test/masked/1.png")
    assert names(tmp_path) == ["test/a/1", "test/masked/1"]
    # asked for by name, they are inspected
    assert names(tmp_path / "ground_truth") == ["a/1_mask"]
    assert names(tmp_path / "Masks" / "1.png") == ["1"]


def test_what_it_wrote_is_not_inspected_again(tmp_path: Path) -> None:
    touch(tmp_path, "1.png", "out/1_overlay.png", "other/out/2.png")
    assert names(tmp_path, out=tmp_path / "out") == ["1", "other/out/2"]
    with pytest.raises(UsageError, match="another folder as --out"):
        list_images([tmp_path], tmp_path / "other" / "..")


def test_a_loop_of_links_ends(tmp_path: Path) -> None:
    touch(tmp_path, "1.png")
    (tmp_path / "again").symlink_to(tmp_path, target_is_directory=True)
    assert names(tmp_path) == ["1"]


def test_nothing_to_inspect(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such image or folder"):
        list_images([tmp_path / "nothing"])
    with pytest.raises(UsageError, match="nothing to inspect"):
        list_images([])
    with pytest.raises(FlawmapError, match="There are no images in"):
        list_images([touch(tmp_path, "notes.txt")])


def test_many_images_are_named_at_once(tmp_path: Path) -> None:
    """Naming must not take time with the square of their number."""
    folder = touch(tmp_path, *(f"{n}.png" for n in range(400)))
    start = time.perf_counter()
    found = list_images([folder / f"{n}.png" for n in range(400)] * 10)
    assert time.perf_counter() - start < 5.0
    assert len({target.name for target in found}) == 4000


def test_a_missing_input_writes_nothing(run_copy: Path, images: Path, tmp_path: Path) -> None:
    out, lines = tmp_path / "out", tmp_path / "lines.jsonl"
    with pytest.raises(UsageError):
        flawmap.predict(run_copy, [images, tmp_path / "no"], out=out, json_file=lines)
    assert not out.exists()
    assert not lines.exists()


def test_lines_name_run_precision_and_backend(run_copy: Path, images: Path) -> None:
    path = images / "part2.png"
    (record,) = flawmap.predict(run_copy, path)
    manifest = read_manifest(run_copy)
    graph = manifest.files["model.onnx"]
    assert (record.format, record.run, record.model) == (FORMAT, graph[:16], graph)
    assert (record.precision, record.backend, record.device) == ("float32", "onnxruntime", "cpu")
    assert record.image == digest(path)
    assert record.settings == settings_id(manifest)


def test_settings_name_what_decides(run_copy: Path) -> None:
    """Thresholds and filters are settings; the order of the calibration images is none."""
    manifest = read_manifest(run_copy)
    limits = manifest.calibration
    lower = limits.reject.model_copy(update={"value": limits.reject.value / 2})
    found = {
        settings_id(manifest.model_copy(update=change))
        for change in (
            {},
            {"metrics": {}},
            {"calibration": limits.model_copy(update={"scores": limits.scores[::-1]})},
            {"calibration": limits.model_copy(update={"reject": lower})},
            {"filters": Filters(min_area=3.0)},
            {"region": "ab" * 32},
        )
    }
    assert len(found) == 4


@pytest.mark.parametrize("pictures", [False, True])
def test_an_interruption_leaves_whole_lines(
    run_copy: Path, images: Path, tmp_path: Path, pictures: bool
) -> None:
    """The lines of the time before go with the first new one, and not earlier."""
    target = tmp_path / "lines.jsonl"
    target.write_text(make_record("old.png", error="old").to_json() + "\n", encoding="utf-8")
    before = target.read_bytes()
    out = tmp_path / "out" if pictures else None
    seen: list[InspectionRecord] = []

    def interrupt(record: InspectionRecord, total: int) -> None:
        seen.append(record)
        if len(seen) == 2:
            raise KeyboardInterrupt

    with pytest.raises(FlawmapError):
        flawmap.predict(run_copy / "no", [images], json_file=target)
    assert target.read_bytes() == before
    with pytest.raises(KeyboardInterrupt):
        flawmap.predict(run_copy, [images], json_file=target, out=out, show=interrupt)
    lines = [json.loads(line) for line in target.read_text(encoding="utf-8").splitlines()]
    assert lines[:2] == [one.to_dict() for one in seen[:2]]
    assert not list(tmp_path.rglob(".*"))
    if out is not None:
        whole = {f"{Path(line['path']).stem}_overlay.png" for line in lines}
        assert whole == {path.name for path in out.rglob("*_overlay.png")}


@pytest.mark.parametrize("unwritable", [False, True])
def test_an_interruption_at_the_end_leaves_a_line_for_every_picture(
    run_copy: Path,
    images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    unwritable: bool,
) -> None:
    """It comes in giving the first line, when all pictures are there that can be."""
    monkeypatch.setattr(delivery, "_is_done", lambda waiting: False)  # all is given at the end
    out, target = tmp_path / "out", tmp_path / "lines.jsonl"
    if unwritable:  # drawn by hand
        out.mkdir()
        write_png(out / "part10_mask.png", np.zeros((8, 8), np.uint8))

    def interrupt(record: InspectionRecord, total: int) -> None:
        if record.path.endswith("part2.png"):
            end = time.monotonic() + 60
            while len(list(out.rglob("part1_overlay.png"))) < 1 and time.monotonic() < end:
                time.sleep(0.01)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        flawmap.predict(run_copy, [images], json_file=target, out=out, show=interrupt)
    lines = [json.loads(line) for line in target.read_text(encoding="utf-8").splitlines()]
    assert [Path(line["path"]).stem for line in lines] == ["part2", "part10", "part1"]
    assert ["error" in line for line in lines] == [False, unwritable, False]
    assert len(list(out.rglob("*_overlay.png"))) == 3 - unwritable


@pytest.mark.parametrize("name", ["SIGINT", "SIGHUP", "SIGKILL"])
@pytest.mark.posix
def test_killed_it_leaves_whole_lines(
    name: str,
    flawmap_process: tuple[list[str], dict[str, str]],
    tiny_run: Path,
    images: Path,
    tmp_path: Path,
) -> None:
    for index in range(2000):
        os.link(images / "part2.png", images / f"copy{index}.png")
    command, environment = flawmap_process
    lines, out = tmp_path / "lines.jsonl", tmp_path / "out"
    process = subprocess.Popen(
        [*command, "predict", tiny_run, images, "--json", lines, "--out", out],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    end = time.monotonic() + 60
    while not lines.exists() or lines.read_bytes().count(b"\n") < 5:
        assert time.monotonic() < end
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.Signals[name])
    _, said = process.communicate(timeout=60)
    text = lines.read_text(encoding="utf-8")
    count = len([json.loads(line) for line in text.splitlines()])
    assert text.endswith("\n")
    assert 5 <= count < 2003
    if name != "SIGKILL":
        assert process.returncode == 130
        assert f"Ended early: {count} lines are in {lines}" in said
        assert not list(out.rglob(".*"))
        pictures = len(list(out.rglob("*_overlay.png")))
        assert pictures in (count, count + 1)  # an image's pictures come before its line
        assert said.endswith("flawmap: stopped.\n")


def test_pictures_that_cannot_be_written_are_one_images_error(
    run_copy: Path, images: Path, tmp_path: Path
) -> None:
    """A folder in the way, a name too long for what is added to it, a mask drawn by hand."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "below").write_text("in the way", encoding="utf-8")
    write_png(out / "part10_mask.png", np.full((3, 3), 7, np.uint8))
    drawn = (out / "part10_mask.png").read_bytes()
    shutil.copy(images / "part2.png", images / ("x" * 247 + ".png"))
    shutil.copy(images / "part2.png", images / ("y" * 240 + ".png"))
    records = flawmap.predict(run_copy, [images], out=out, json_file=tmp_path / "l.jsonl")
    assert len((tmp_path / "l.jsonl").read_text().splitlines()) == 5
    failed = {Path(x.path).stem: x.error for x in records if x.failed}
    assert sorted(failed) == ["part1", "part10", "x" * 247]
    assert "below" in failed["part1"]
    assert "not written by predict" in failed["part10"]
    assert "too long" in failed["x" * 247]
    assert all(len(error.splitlines()) == 1 for error in failed.values())
    assert (out / "part10_mask.png").read_bytes() == drawn
    again = flawmap.predict(run_copy, [images], out=out)
    assert [one.failed for one in again] == [one.failed for one in records]


def test_output_never_replaces_an_input(run_copy: Path, images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    flawmap.predict(run_copy, [images / "part2.png"], out=out)
    overlay = out / "part2_overlay.png"
    before = overlay.read_bytes()
    elsewhere = shutil.copy(images / "part10.png", tmp_path / "part2.png")
    one, other = flawmap.predict(run_copy, [overlay, elsewhere], out=out)
    assert not one.failed
    assert "not replaced" in other.error
    assert overlay.read_bytes() == before


def test_a_full_disk_ends_it_with_the_lines_so_far(
    run_copy: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, calls = delivery.write_images, []

    def full(*args: Any) -> InspectionRecord:
        calls.append(args)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(*args)

    monkeypatch.setattr(delivery, "write_images", full)
    target = tmp_path / "lines.jsonl"
    with pytest.raises(OSError, match="No space"):
        flawmap.predict(run_copy, [images], out=tmp_path / "out", json_file=target)
    (line,) = target.read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["path"].endswith("part2.png")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_lines_on_a_full_disk(run_copy: Path, images: Path) -> None:
    with pytest.raises(FlawmapError, match="No space left"):
        flawmap.predict(run_copy, [images], json_file="/dev/full")


def test_two_do_not_write_the_same_lines(run_copy: Path, images: Path, tmp_path: Path) -> None:
    file = LinesFile(tmp_path / "lines.jsonl")
    with pytest.raises(FlawmapError, match="Another process is writing lines"):
        flawmap.predict(run_copy, [images], json_file=tmp_path / "lines.jsonl")
    file.close()
    assert not (tmp_path / "lines.jsonl").exists(), "it held no line"
    assert flawmap.predict(run_copy, [images], json_file=tmp_path / "lines.jsonl")


def test_overlay_and_mask_in_strips_are_those_of_the_whole(
    run_copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(3)
    write_png(tmp_path / "a.png", rng.integers(0, 256, (333, 417, 3), np.uint8))
    mark_half(run_copy, tmp_path, "a.png")
    flawmap.regions(run_copy, min_area=40)
    inspector = flawmap.Inspector.load(run_copy)
    seen = inspector.inspect(tmp_path / "a.png")
    assert seen.defects
    image, threshold = read_image(tmp_path / "a.png"), inspector.manifest.calibration.pixel.value
    whole = resize_map(seen.anomaly_map, image.shape[:2])
    around = ndimage.maximum_filter(seen.mask, 3)
    marked = ((whole > threshold) & (resize_mask(around, image.shape[:2]) > 0)).astype(np.uint8)
    expected = outline(overlay(image, whole, threshold), marked, PREDICTED)
    for pixels in (1, 417 * 50, 10**6):
        monkeypatch.setattr(marking, "_STRIP_PIXELS", pixels)
        flawmap.predict(run_copy, [tmp_path / "a.png"], out=tmp_path / "out")
        found = read_image(tmp_path / "out" / "a_overlay.png")
        assert np.abs(found.astype(int) - expected).max() <= 3, "but for the rounding of heat"
        mask = read_image(tmp_path / "out" / "a_mask.png")[..., 0]
        assert (mask > 0).sum() > 0
        assert np.mean((mask > 0) != (marked > 0)) < 1e-4


def test_one_pixel_and_a_long_strip(run_copy: Path, tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    write_png(folder / "one.png", np.full((1, 1, 3), 9, np.uint8))
    write_png(folder / "strip.png", np.full((2, 900), 9, np.uint8))
    records = flawmap.predict(run_copy, [folder], out=tmp_path / "out")
    assert not any(record.failed for record in records)
    assert read_image(tmp_path / "out" / "one_overlay.png").shape == (1, 1, 3)
    assert read_image(tmp_path / "out" / "strip_mask.png").shape == (2, 900, 3)
    shutil.rmtree(tmp_path / "out")
