"""Tiles of photographs that stay in a file."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from data.image_io.tiffs import write_tiff
from flawmap.data.image_io.images import encode_png
from flawmap.data.layouts import DatasetError
from flawmap.data.resize import Framing
from flawmap.data.tiles import Tiles, load_tiles
from flawmap.errors import UsageError

FRAMING = Framing((16, 16), "tiles", 4)
SIZES = ((40, 28), (16, 16), (10, 40))


@pytest.fixture
def pictures(tmp_path):
    """Photographs by path, of different sizes, one of them lower than a tile."""
    rng = np.random.default_rng(2)
    found = {}
    for number, size in enumerate(SIZES):
        image = rng.integers(0, 256, (*size, 3), np.uint8)
        (path := tmp_path / f"{number}.png").write_bytes(encode_png(image))
        found[path] = image
    return found


def test_rows_are_the_windows_of_each_photograph_in_order(pictures, tmp_path):
    loaded = load_tiles(pictures, FRAMING, tmp_path / "cache")
    padded = [FRAMING.preprocess(image) for image in pictures.values()]
    expected = [c.tile(index) for c in padded for index in range(c.layout.count)]
    assert isinstance(loaded.array, Tiles)
    assert len(loaded.array) == len(expected) == 3 * 2 + 1 + 3
    np.testing.assert_array_equal(loaded.array[np.arange(len(expected))], expected)
    assert loaded.array[np.array([3, 0])].shape == (2, 16, 16, 3)
    assert loaded.sizes == SIZES
    assert loaded.paths == tuple(pictures)
    assert loaded.rows_of(np.array([0, 2])).tolist() == [0, 1, 2, 3, 4, 5, 7, 8, 9]


def test_tiles_of_16_bit_images_have_the_white_level(pictures, tmp_path):
    deep = {}
    for path, image in pictures.items():
        (path := path.with_suffix(".tif")).write_bytes(write_tiff(image.astype(np.uint16) * 16))
        deep[path] = np.rint(np.minimum(image.astype(float) * 16, 3999) * (255 / 3999))
    framing = replace(FRAMING, white_level=3999)
    loaded = load_tiles(deep, framing, tmp_path / "cache")
    padded = [framing.preprocess(image.astype(np.uint8)) for image in deep.values()]
    expected = [c.tile(index) for c in padded for index in range(c.layout.count)]
    np.testing.assert_array_equal(loaded.array[np.arange(len(expected))], expected)


def test_pixels_stay_in_one_file(pictures, tmp_path):
    loaded = load_tiles(pictures, FRAMING, tmp_path / "cache")
    assert isinstance(loaded.array.pixels, np.memmap)
    (file,) = (tmp_path / "cache").iterdir()
    assert file.stat().st_size == 3 * (40 * 28 + 16 * 16 + 16 * 40)


def test_moved_tiles_stay_inside_and_reach_every_place(pictures, tmp_path):
    (first, image), *_ = pictures.items()
    tiles = load_tiles([first], FRAMING, tmp_path / "cache").array
    windows = np.lib.stride_tricks.sliding_window_view(image, (16, 16, 3))[:, :, 0]
    places = {window.tobytes(): (y, x) for y, row in enumerate(windows) for x, window in
              enumerate(row)}  # fmt: skip
    rng, rows = np.random.default_rng(0), np.arange(len(tiles))
    seen = [places[t.tobytes()] for _ in range(300) for t in
            tiles.near(rows, rng.uniform(-0.5, 0.5, (len(rows), 2)))]  # fmt: skip
    for reached, possible in zip(zip(*seen, strict=True), (25, 13), strict=True):
        assert set(reached) == set(range(possible))
    np.testing.assert_array_equal(tiles.near(rows, np.zeros((len(rows), 2))), tiles[rows])


def test_unreadable_photographs_are_skipped(pictures, tmp_path):
    (broken := tmp_path / "broken.png").write_text("no picture")
    paths = [broken, *pictures]
    loaded = load_tiles(paths, FRAMING, tmp_path / "cache", max_unreadable=0.5)
    assert loaded.paths == tuple(pictures)
    assert [path for path, _ in loaded.skipped] == [broken]
    with pytest.raises(DatasetError, match="1 of 4 images cannot be read"):
        load_tiles(paths, FRAMING, tmp_path / "other")
    assert not list((tmp_path / "other").iterdir())


def test_a_folder_that_is_none(pictures, tmp_path):
    with pytest.raises(DatasetError, match="cannot hold"):
        load_tiles(pictures, FRAMING, next(iter(pictures)))
    with pytest.raises(UsageError, match="no images"):
        load_tiles([], FRAMING, tmp_path)
