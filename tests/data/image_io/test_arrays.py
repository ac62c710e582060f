"""Frames of every kind that programs hold, against the same image as RGB."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flawmap.data.image_io.arrays import as_rgb
from flawmap.data.image_io.images import ImageError, encode_png
from flawmap.errors import UsageError

RNG = np.random.default_rng(3)
RGB = RNG.integers(0, 256, (5, 7, 3), np.uint8)
GREY = RNG.integers(0, 256, (5, 7), np.uint8)
RGBA = np.dstack([RGB, GREY])
THREE = np.repeat(GREY[:, :, None], 3, axis=2)
DEEP = RNG.integers(0, 65536, (5, 7), np.uint16)
OF_DEEP = np.repeat(np.rint(DEEP / 257)[..., None], 3, 2)
PALETTE = Image.fromarray(RGB).quantize(6)
BGRA = RGBA[..., [2, 1, 0, 3]]


class Tensor:
    """As torch's on the CPU, and as pandas' and others' arrays."""

    def __array__(self, dtype: object = None, copy: object = None) -> np.ndarray:
        return RGB


class Memory:
    """As arrays of other libraries that NumPy can look into."""

    __array_interface__ = RGB.__array_interface__


class Capsule:
    """As tensors of libraries that NumPy does not know."""

    def __dlpack__(self, **options: object) -> object:
        return RGB.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return RGB.__dlpack_device__()


class Gradient:
    """As a tensor that NumPy may not look into."""

    def __array__(self, dtype: object = None, copy: object = None) -> np.ndarray:
        raise RuntimeError("it requires\ngrad")


class Named:
    """As what lists a folder named in bytes."""

    def __init__(self, path: bytes) -> None:
        self.path = path

    def __fspath__(self) -> bytes:
        return self.path


def frozen(array: np.ndarray) -> np.ndarray:
    array = array.copy()
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    ("frame", "colour", "expected"),
    [
        (RGB, None, RGB),
        (RGB, "RGB", RGB),
        (RGB[..., ::-1], "BGR", RGB),
        (RGBA, None, RGB),
        (RGBA, "RGBA", RGB),
        (RGBA, "RGB", RGB),
        (BGRA, "BGRA", RGB),
        (BGRA, "BGR", RGB),
        (GREY, None, THREE),
        (GREY, "mono", THREE),
        (GREY[..., None], "mono", THREE),
        (GREY, "BGR", THREE),
        (RGB[::-1, ::-1], None, RGB[::-1, ::-1]),
        (np.asfortranarray(RGB), None, RGB),
        (np.repeat(RGB, 2, axis=1)[:, ::2], None, RGB),
        (frozen(RGB), None, RGB),
        (RGB.astype(np.uint16) * 257, None, RGB),
        (RGB.astype(">u2") * 257, None, RGB),
        (RGB.astype(np.uint16)[..., ::-1] * 257, "BGR", RGB),
        (RGB / 255.0, None, RGB),
        ((GREY / 255.0).astype(np.float16), None, THREE),
        (Tensor(), None, RGB),
        (Memory(), None, RGB),
        (Capsule(), None, RGB),
        (memoryview(RGB), None, RGB),
        (memoryview(np.ascontiguousarray(RGB[..., ::-1])), "BGR", RGB),
        (bytearray(encode_png(RGB)), None, RGB),
        (memoryview(encode_png(RGB)), None, RGB),
        (encode_png(RGB), "BGR", RGB),  # a file knows its own colours
        (Image.fromarray(RGB), None, RGB),
        (Image.fromarray(RGBA), None, RGB),
        (Image.fromarray(GREY), None, THREE),
        (Image.fromarray(np.dstack([GREY, GREY]), "LA"), None, THREE),
        (PALETTE, None, np.asarray(PALETTE.convert("RGB"))),
        (Image.fromarray(GREY > 99), None, np.where(THREE > 99, 255, 0)),
        (Image.fromarray(DEEP), None, OF_DEEP),
        (Image.fromarray(DEEP.astype(np.int32)), None, OF_DEEP),
        (Image.fromarray((GREY / 255).astype(np.float32)), None, THREE),
        (Image.fromarray(RGB).convert("CMYK"), None, RGB),
    ],
)
def test_any_frame_comes_out_as_rgb_of_its_own(frame, colour, expected):
    found = as_rgb(frame, colour)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.uint8
    assert found.flags.c_contiguous
    assert found.flags.writeable
    if isinstance(frame, np.ndarray):
        assert not np.shares_memory(found, frame)


@pytest.mark.parametrize("white_level", [1023, 4095, 16383])
def test_deep_frames_are_scaled_by_the_white_level(white_level):
    deep = np.array([[0, white_level // 2, white_level, white_level + 1, 65535]], np.uint16)
    expected = np.rint(np.minimum(deep, white_level) * (255 / white_level))
    for frame in (deep, Image.fromarray(deep), np.dstack([deep] * 3)):
        found = as_rgb(frame, white_level=white_level)
        np.testing.assert_array_equal(found, np.repeat(expected[..., None], 3, 2))


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_orientation_of_a_pil_image_is_honoured(orientation):
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(RGB).save(buffer, "PNG", exif=exif)
    np.testing.assert_array_equal(as_rgb(Image.open(buffer)), as_rgb(buffer.getvalue()))


def test_a_pil_image_is_left_as_it_was():
    image = Image.fromarray(GREY)
    image.info["transparency"] = 3
    as_rgb(image)
    assert image.info == {"transparency": 3}
    assert image.mode == "L"


def test_file_objects_are_read_from_their_start(tmp_path: Path):
    (tmp_path / "a.png").write_bytes(encode_png(RGB))
    buffer = io.BytesIO()
    buffer.write(encode_png(RGB))  # and now at its end, as after every save
    np.testing.assert_array_equal(as_rgb(buffer), RGB)
    np.testing.assert_array_equal(as_rgb(buffer), RGB)
    with (tmp_path / "a.png").open("rb") as file:
        np.testing.assert_array_equal(as_rgb(file), RGB)
    for path in (tmp_path / "a.png", str(tmp_path / "a.png"), Named(bytes(tmp_path / "a.png"))):
        np.testing.assert_array_equal(as_rgb(path), RGB)


@pytest.mark.parametrize(
    ("frame", "colour", "message"),
    [
        (None, None, "A NoneType is not an image: give a path"),
        (["a.png"], None, "A list is not an image"),
        (7, None, "A int is not an image"),
        (io.StringIO("text"), None, "binary mode"),
        (io.TextIOWrapper(io.BytesIO(b"\x89PNG"), "utf-8"), None, "binary mode"),
        (Gradient(), None, r"Gradient cannot be read as an array \(it requires grad\)"),
        (Image.new("RGB", (0, 5)), None, "0 x 5 pixels is empty"),
        (np.zeros((3, 8, 8), np.uint8), None, "channels last"),
        (np.zeros((1, 8, 8, 3), np.uint8), None, "not an image: give uint8"),
        (np.zeros((0, 8, 3), np.uint8), None, "not an image: give uint8"),
        (np.zeros((8, 8), bool), None, "array of bool"),
        (np.zeros((8, 8), np.int64), None, "array of int64"),
        (np.full((8, 8), np.nan), None, r"lie outside 0\.\.1"),
        (np.full((8, 8), 200.0), None, r"200 to 200 lie outside 0\.\.1: divide"),
        (RGB, "BGRA", "3 channels cannot be BGRA"),
        (RGB, "mono", "3 channels cannot be mono"),
        (RGB, "bgr", "colour 'bgr': give RGB, BGR, RGBA, BGRA, mono"),
        (Image.fromarray(DEEP.astype(np.int32) - 70000), None, r"lie outside 0\.\.65535"),
    ],
)
def test_what_is_no_image_is_refused_with_what_is(frame, colour, message):
    with pytest.raises(UsageError, match=message):
        as_rgb(frame, colour)


def test_files_that_cannot_be_read():
    closed = io.BytesIO(b"")
    closed.close()
    with pytest.raises(ImageError, match="cannot be read"):
        as_rgb(closed)
    with pytest.raises(ImageError, match="empty"):
        as_rgb(io.BytesIO(b""))
    png = Image.open(io.BytesIO(encode_png(RNG.integers(0, 256, (90, 90, 3), np.uint8))[:9000]))
    with pytest.raises(ImageError, match="PIL image cannot be read"):
        as_rgb(png)
