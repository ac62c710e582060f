"""Files made to be too much: bombs, pipes, devices, a full disk, and two writers of one folder."""

from __future__ import annotations

import io
import json
import os
import shutil
import struct
import subprocess
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import flawmap
from evaluation.report.samples import make_data
from flawmap.data.image_io.images import ImageError, read_image
from flawmap.data.masks.decoding import read_mask
from flawmap.errors import FlawmapError
from flawmap.evaluation.report import write_report
from flawmap.inspection.bundle.training_log import TrainingLog, read_log
from flawmap.inspection.output.lines import json_lines
from flawmap.inspection.sources import list_images
from flawmap.utils.files import read_regular, write_bytes
from flawmap.utils.locks import only_writer
from inspection.records import make_record


def bomb(side: int) -> bytes:
    """A whole PNG of black grey pixels, a thousand of them to a byte."""
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(1 + side)) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", packed), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + tag + body + struct.pack(">I", zlib.crc32(tag + body))
        for tag, body in parts
    )


# --- bombs


def test_a_small_file_of_many_pixels_is_refused_undecoded(monkeypatch: pytest.MonkeyPatch) -> None:
    data = bomb(6000)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda *_: pytest.fail("it was decoded"))
    with pytest.raises(ImageError, match=r"6000 x 6000 pixels in .* bytes are no camera image"):
        read_image(data)
    with pytest.raises(ImageError, match="no camera image"):
        read_mask(data, (64, 64))


def test_a_mask_may_be_as_large_and_empty_as_its_image_and_no_larger(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = bomb(6000)
    assert read_mask(data, (8, 8), image_size=(6000, 6000)).max() == 0
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda *_: pytest.fail("it was decoded"))
    with pytest.raises(ImageError, match="mask of another size than its image"):
        read_mask(data, (8, 8), image_size=(600, 6000))


@pytest.mark.parametrize("mode", ["L", "P", "RGB", "RGBA"])
def test_strips_join_without_a_seam(monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (37, 10, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, "PNG")
    whole = read_image(file.getvalue())
    monkeypatch.setattr("flawmap.data.image_io.images._STRIP", 50)
    np.testing.assert_array_equal(read_image(file.getvalue()), whole)


# --- files that are none


@pytest.mark.posix
def test_a_pipe_a_folder_and_a_large_file_are_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").write_bytes(bytes(11))
    for name, why in (("pipe", "regular"), (".", "directory"), ("large", "MiB"), ("\0", "null")):
        with pytest.raises(OSError, match=why):
            read_regular(tmp_path / name, 10)
    assert read_regular(tmp_path / "large", 11) == bytes(11)


def test_links_in_a_circle(tmp_path: Path) -> None:
    """As an image, as a folder of images, and as the folder to write to."""
    loop = tmp_path / "a.png"
    loop.symlink_to(loop)
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "up").symlink_to(tmp_path, target_is_directory=True)
    (target,) = list_images([tmp_path], tmp_path / "below" / "up" / "below" / "out")
    assert target.path == loop
    assert list_images([tmp_path], loop) == [target]
    with pytest.raises(ImageError, match=r"a\.png: cannot be read \(Too many levels"):
        read_image(loop)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="no users here")
def test_a_folder_that_cannot_be_listed_is_not_taken_for_an_empty_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "locked").mkdir()
    (tmp_path / "a.png").touch()
    scan = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(FlawmapError, match=r"locked: cannot be listed \(Permission denied\)"):
        list_images([tmp_path])


# --- the training log


@pytest.mark.parametrize(
    "line", [b"[1]", b"null", b'{"loss": 1}', b'{"step": "x"}', b"\xff\xfe", b"[" * 10**5]
)
def test_a_log_edited_by_hand_loses_its_odd_lines(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "training.jsonl"
    TrainingLog(path, 0).write(10, "student", 0.5, 4)
    path.write_bytes(line + b"\n" + path.read_bytes())
    assert [one["step"] for one in read_log(path)] == [10]
    TrainingLog(path, 10).write(20, "student", 0.4, 4)
    assert [one["step"] for one in read_log(path)] == [10, 20]


# --- a full disk


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own with 8 KiB left."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    try:
        done = subprocess.run(mount, capture_output=True, check=False).returncode
    except OSError:
        done = 1
    if done:
        pytest.skip("no small disk can be mounted here")
    (place / "ballast").write_bytes(bytes(2**20 - 3 * 4096))
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_is_named_with_its_mend_and_nothing_is_half_written(full: Path) -> None:
    before = sorted(full.iterdir())
    for write in (
        lambda: write_bytes(full / "checkpoint", bytes(10**5)),
        lambda: write_report(full / "report.html", make_data(title="x" * 10**5)),
    ):
        with pytest.raises(FlawmapError, match=r"Cannot write .*No space left.* Free some space"):
            write()
        assert sorted(full.iterdir()) == before


def test_lines_on_a_full_disk_end_with_a_whole_one(full: Path) -> None:
    with pytest.raises(FlawmapError, match=r"Cannot write .*No space left.* Free some space"):
        _many_lines(full / "lines.jsonl")
    kept = (full / "lines.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["score"] for line in kept] == list(range(len(kept)))


def _many_lines(path: Path) -> None:
    with json_lines(path) as write:
        for number in range(100):
            write(make_record("x" * 1000, score=number))


def test_a_log_on_a_full_disk(full: Path) -> None:
    log = TrainingLog(full / "training.jsonl", 0)
    with pytest.raises(FlawmapError, match=r"Cannot write .*training\.jsonl: No space left"):
        log.write(10, "student" * 10_000, 0.5, 4)


# --- two writers


@pytest.mark.parametrize(
    "change",
    [
        lambda run: flawmap.calibrate(run, false_reject=0.05),
        lambda run: flawmap.regions(run, min_area=3.0),
        lambda run: flawmap.export(run, "onnx"),
    ],
    ids=["calibrate", "regions", "export"],
)
def test_a_run_is_changed_by_one_process_at_a_time(tiny_run, tmp_path, change):
    run = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    before = (run / "manifest.json").read_bytes()
    with only_writer(run), pytest.raises(FlawmapError, match="Another process is writing"):
        change(run)
    assert (run / "manifest.json").read_bytes() == before
