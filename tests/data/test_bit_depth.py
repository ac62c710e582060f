"""The white level of the images to learn from: by their tags, their values, or as asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data.image_io.tiffs import write_tiff
from flawmap.data.bit_depth import settle_white_level
from flawmap.data.image_io.images import encode_jpeg, encode_png
from flawmap.errors import UsageError

TAG = {281: (3, [4095])}


def folder_of(place: Path, highest: tuple[int, ...], tags: dict | None) -> list[Path]:
    """A 16-bit image for each highest value, one of 8 bits for 0."""
    paths = []
    for index, value in enumerate(highest):
        values = np.full((3, 4), value, np.uint16)
        if value == 0:
            values = np.full((3, 4), 77, np.uint8)
        path = place / f"{index}.image"
        path.write_bytes(encode_png(values) if tags is None else write_tiff(values, tags=tags))
        paths.append(path)
    return paths


@pytest.mark.parametrize(
    ("highest", "tags", "asked", "white", "said"),
    [
        ((0, 0), None, None, None, None),
        ((0, 0), None, 4095, 4095, "No image has 16 bits, so the white level 4095 changes nothing"),
        ((200, 255), None, None, 255, "up to 255: read as 8 bits"),
        ((900, 1023), None, None, 1023, "read as 10 bits (black = 0, white = 1023)"),
        ((200, 4087), None, None, 4095, "16-bit images hold values up to 4,087: read as 12 bits"),
        ((4087, 16320), None, None, 16383, "read as 14 bits (black = 0, white = 16383); give --wh"),
        ((4087, 16384), None, None, 65535, "read as 16 bits (black = 0, white = 65535); give"),
        ((0, 4087, 0), None, None, 4095, "1 of 3 images have 16 bits and hold values up to 4,087"),
        (
            (4087, 65535, 3, 4),
            None,
            None,
            65535,
            "of one image alone: the others end at 4,087; give",
        ),
        ((9, 8), TAG, None, 4095, "read as 12 bits (black = 0, white = 4095) as their tags say"),
        ((9, 5000), TAG, None, 16383, "read as 14 bits (black = 0, white = 16383); give"),
        ((4087, 4000), None, 65535, 65535, None),
        ((4087, 5000), None, 4095, 4095, "hold values up to 5,000: those above 4095 count as whi"),
    ],
)
def test_white_level(tmp_path, highest, tags, asked, white, said):
    lines: list[str] = []
    paths = folder_of(tmp_path, highest, tags)
    assert settle_white_level(paths, asked, lines.append) == white
    assert len(lines) == (said is not None)
    if said is not None:
        assert said in lines[0]


def test_headers_alone_are_read_of_images_of_8_bits(tmp_path, monkeypatch):
    (tmp_path / "a.jpg").write_bytes(encode_jpeg(np.zeros((8, 8), np.uint8)))
    (tmp_path / "b.tif").write_bytes(write_tiff(np.zeros((8, 8, 3), np.uint8)))
    (tmp_path / "c.tif").write_bytes(write_tiff(np.zeros((8, 8), np.uint16), bits=12))
    (tmp_path / "d.tif").write_bytes(write_tiff(np.zeros((8, 8), np.float32)))
    (tmp_path / "e.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "f.png").mkdir()
    monkeypatch.setattr(
        "flawmap.data.image_io.decoding.read_file", lambda *_, **__: pytest.fail("decoded")
    )
    paths = [*sorted(tmp_path.iterdir()), tmp_path / "gone.png"]
    assert settle_white_level(paths, None, pytest.fail) is None


@pytest.mark.parametrize("asked", [0, 70000])
def test_what_no_16_bit_value_is_cannot_be_asked_for(asked):
    with pytest.raises(UsageError, match=f"The white level {asked} is out of range: give 1 to"):
        settle_white_level([], asked, pytest.fail)
