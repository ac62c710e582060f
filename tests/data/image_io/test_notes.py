"""Notes: one line a kind, whatever the number of files."""

from __future__ import annotations

import io
import struct
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from data.image_io.tiffs import write_tiff
from flawmap.data.image_io import notes
from flawmap.data.image_io.images import encode_png, read_image
from flawmap.data.image_io.notes import Kind, gathered, note

GREY = np.random.default_rng(0).integers(0, 256, (8, 9), np.uint8)


def saved(kind: str, pages: int) -> bytes:
    buffer = io.BytesIO()
    images = [Image.fromarray(GREY ^ (85 * i)).convert("RGB") for i in range(pages)]
    options = {"save_all": True, "append_images": images[1:]} if pages > 1 else {}
    images[0].save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["TIFF", "MPO", "PNG", "WEBP"])
def test_files_of_several_pages_are_told_of_once(kind):
    several, single = saved(kind, 3), saved("JPEG" if kind == "MPO" else kind, 1)
    said: list[str] = []
    with gathered(said.append):
        read_image(single, name="single")
        for name in ("a", "b", "b"):  # b twice, as evaluate's report does
            read_image(several, name=name)
        assert said == []
    assert said == ["2 files hold several pages or frames: only the first of each is read."]


def test_one_file_of_several_pages():
    said: list[str] = []
    with gathered(said.append):
        read_image(saved("TIFF", 2), name="a")
    assert said == ["1 file holds several pages or frames: only the first is read."]


def test_pages_of_kinds_that_pillow_does_not_read():
    said: list[str] = []
    deep = np.dstack([GREY] * 3).astype(np.uint16)
    with gathered(said.append):
        for name, more in (("a", False), ("b", True)):
            data = write_tiff(deep, planar=True, next_page=more)
            assert read_image(data, name=name, white_level=65535).shape == (8, 9, 3)
    assert said == ["1 file holds several pages or frames: only the first is read."]


def test_a_smaller_version_and_nonsense_are_no_page():
    reduced = struct.pack("<HHHII", 2, 254, 4, 1, 1) + struct.pack("<HHII", 256, 4, 1, 4) + bytes(4)
    plain = write_tiff(GREY)
    at = len(plain) - 4
    assert plain[at:] == bytes(4)  # where the next directory would be
    said: list[str] = []
    with gathered(said.append):
        for behind in (reduced, b"", b"junk"):
            data = plain[:at] + struct.pack("<I", len(plain)) + behind
            np.testing.assert_array_equal(read_image(data)[:, :, 0], GREY)
    assert said == []


def test_threads_share_one_count():
    said: list[str] = []
    with gathered(said.append), ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda i: note(Kind.PAGES, f"{i % 50}"), range(400)))
    assert said[0].startswith("50 files")


def test_a_long_command_tells_at_once_and_keeps_no_names(monkeypatch):
    said: list[str] = []
    with gathered(said.append):
        note(Kind.PAGES, "a")
        monkeypatch.setattr(notes, "_PATIENCE", -1.0)
        note(Kind.PAGES, "b")
        assert said == ["2 files hold several pages or frames: only the first of each is read."]
        note(Kind.PAGES, "c")
    assert len(said) == 1


def test_white_levels_are_told_by_kind():
    said: list[str] = []
    twelve = encode_png(GREY.astype(np.uint16) * 16)
    highest = f"{int(GREY.max()) * 16:,}"
    with gathered(said.append):
        for name in "ab":
            read_image(twelve, name=name, white_level=None)
            read_image(twelve, name=name, white_level=1023)
        read_image(twelve, name="c")
    assert said == [
        f"2 images of 16 bits hold values up to {highest} only, as 12-bit cameras give, but are "
        "read with 65535 as white, darker than meant: train on such images, or save them with "
        "that white.",
        f"2 images of 16 bits hold values above the white level 1023, up to {highest}: these "
        "count as white.",
        f"1 image of 16 bits holds values up to {highest} only: read as 12 bits.",
    ]


def test_a_program_hears_of_each_kind_once(monkeypatch, caplog):
    monkeypatch.setattr(notes, "_reported_kinds", set())
    for name in ("a.tif", "b.tif"):
        read_image(saved("TIFF", 2), name=name)
    assert [record.getMessage() for record in caplog.records] == [
        "a.tif: 1 file holds several pages or frames: only the first is read."
    ]
