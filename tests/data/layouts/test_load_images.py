"""Loading many images into one array, in memory and memory-mapped."""

from __future__ import annotations

import hashlib
import logging

import numpy as np
import pytest

from flawmap.data.image_io.images import encode_png, read_image, resize_image
from flawmap.data.image_io.notes import gathered
from flawmap.data.layouts import DatasetError, fingerprint, load_images, open_dataset
from flawmap.errors import UsageError

RNG = np.random.default_rng(3)


@pytest.fixture
def folder(tmp_path):
    """100 images of different sizes; file i holds the value i throughout."""
    for i in range(100):
        grey = np.full((3 + i % 4, 5 + i % 3), i + 50, np.uint8)
        (tmp_path / f"{i:03}.png").write_bytes(encode_png(grey))
    return tmp_path


def everything(folder):
    return sorted(folder.glob("*.png"))


def options(folder, where):
    """Nothing for memory; for a file, a limit that one byte too many is above."""
    if where == "memory":
        return {}
    return {"memory_limit_bytes": 100 * 4 * 6 * 3 - 1, "cache_dir": folder / "new" / "cache"}


@pytest.mark.parametrize("where", ["memory", "file"])
@pytest.mark.parametrize("workers", [1, 4])
def test_rows_follow_the_paths(folder, where, workers):
    paths = everything(folder)[::-1]
    loaded = load_images(paths, (4, 6), workers=workers, **options(folder, where))
    assert loaded.array.shape == (100, 4, 6, 3)
    assert loaded.array.dtype == np.uint8
    assert loaded.array.flags.c_contiguous
    assert loaded.array[:, 0, 0, 0].tolist() == [*range(149, 49, -1)]
    assert loaded.paths == tuple(paths)
    assert loaded.sizes[:2] == ((3 + 99 % 4, 5), (3 + 98 % 4, 5 + 98 % 3))
    assert loaded.sha256[0] == hashlib.sha256(paths[0].read_bytes()).hexdigest()
    assert loaded.skipped == ()
    assert isinstance(loaded.array, np.memmap) == (where == "file")


def test_limit_is_the_array_itself(folder):
    just = {"memory_limit_bytes": 100 * 4 * 6 * 3}
    assert not isinstance(load_images(everything(folder), (4, 6), **just).array, np.memmap)


@pytest.mark.parametrize("where", ["memory", "file"])
def test_unreadable_images_are_skipped_and_said(folder, where, caplog):
    for name in ("007.png", "070.png"):
        (folder / name).write_text("no picture")
    with caplog.at_level(logging.WARNING, logger="flawmap"):
        loaded = load_images(everything(folder), (4, 6), **options(folder, where))
    kept = [i for i in range(100) if i not in (7, 70)]
    assert loaded.array[:, 3, 5, 2].tolist() == [i + 50 for i in kept]
    assert loaded.array.flags.c_contiguous
    assert [path.name for path in loaded.paths] == [f"{i:03}.png" for i in kept]
    assert len(loaded.sha256) == len(loaded.sizes) == 98
    assert [path.name for path, _ in loaded.skipped] == ["007.png", "070.png"]
    assert "not an image" in loaded.skipped[0][1]
    assert [str(folder / "007.png") in line for line in caplog.messages] == [True, False]


@pytest.mark.parametrize("where", ["memory", "file"])
@pytest.mark.parametrize(("broken", "fails"), [(5, False), (6, True), (100, True)])
def test_more_than_5_percent_is_an_error(folder, where, broken, fails):
    for path in everything(folder)[:broken]:
        path.write_bytes(b"")
    if not fails:
        assert len(load_images(everything(folder), (4, 6), **options(folder, where)).array) == 95
        return
    with pytest.raises(DatasetError, match=f"{broken} of 100 images cannot be read") as caught:
        load_images(everything(folder), (4, 6), **options(folder, where))
    assert str(folder / "000.png") in str(caught.value)
    assert len(str(caught.value).splitlines()) == 2
    assert not [p for p in folder.rglob("*") if p.suffix in (".npy", ".tmp")]


def test_none_left_is_an_error_whatever_is_allowed(tmp_path):
    with pytest.raises(DatasetError, match="1 of 1 image cannot be read"):
        load_images([tmp_path / "gone.png"], (4, 6), max_unreadable=1)


def test_cache_is_one_whole_file_and_never_written_through(folder):
    loaded = load_images(everything(folder), (4, 6), **options(folder, "file"))
    (file,) = (folder / "new" / "cache").iterdir()
    loaded.array[:] = 0
    del loaded
    assert np.load(file)[:, 0, 0, 0].tolist() == [*range(50, 150)]


def test_too_many_for_memory_and_no_cache(folder):
    with pytest.raises(UsageError, match="give a cache_dir"):
        load_images(everything(folder), (4, 6), memory_limit_bytes=10)


def test_cache_that_cannot_be_written(folder):
    with pytest.raises(DatasetError, match="cannot hold"):
        load_images(everything(folder), (4, 6), memory_limit_bytes=10, cache_dir=folder / "000.png")


def test_no_paths():
    with pytest.raises(UsageError, match="no images to load"):
        load_images([], (4, 6))


@pytest.mark.parametrize(
    ("value", "white_level", "byte", "warned"),
    [(4095, None, 16, True), (4095, 4095, 255, False), (4095, 16383, 64, False)],
)
def test_16_bit_images_are_scaled_by_the_white_level(
    tmp_path, caplog, value, white_level, byte, warned
):
    (tmp_path / "a.png").write_bytes(encode_png(np.full((4, 6), value, np.uint16)))
    said: list[str] = []
    with gathered(said.append):
        loaded = load_images(everything(tmp_path), (4, 6), white_level=white_level)
    assert (loaded.array == byte).all()
    assert ("almost black: check the exposure" in caplog.text) == warned
    assert any("as 12-bit cameras give" in line for line in said) == warned


def test_fingerprint_is_of_the_set():
    hashes = [hashlib.sha256(bytes([i])).hexdigest() for i in range(3)]
    assert fingerprint(hashes) == fingerprint(reversed(hashes))
    assert fingerprint(hashes) != fingerprint(hashes[:2])
    assert len(fingerprint([])) == 64


@pytest.mark.realdata
def test_real_images(shared_data):
    dataset = open_dataset(shared_data / "mvtec_ad_256/toothbrush")
    loaded = load_images(dataset.good_train, (128, 128))
    assert loaded.array.shape == (48, 128, 128, 3)
    assert set(loaded.sizes) == {(256, 256)}
    last = resize_image(read_image(dataset.good_train[-1]), (128, 128))
    np.testing.assert_array_equal(loaded.array[-1], last)


def test_many_unreadable_images_are_counted_and_few_named(tmp_path, caplog):
    for number in range(20):
        (tmp_path / f"{number}\n.png").write_text("no image")
    with pytest.raises(DatasetError, match="20 of 20 images"):
        load_images(sorted(tmp_path.iterdir()), (8, 8))
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 6
    assert lines[-1] == "skipped 20 images, of which 5 are named above"
    assert not any("\n" in line for line in lines)
