"""Images: every format and mode against values worked out by hand, and hostile files."""

from __future__ import annotations

import io
import os
import struct
import sys
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile, TiffImagePlugin
from PIL.WebPImagePlugin import WebPImageFile

from flawmap.data.image_io.images import (
    ImageError,
    encode_jpeg,
    encode_png,
    exif_orientation,
    is_image_name,
    read_file,
    read_image,
    read_scaled,
    resize_image,
    write_png,
)
from flawmap.errors import FlawmapError, UsageError

RNG = np.random.default_rng(2)
GREY = RNG.integers(0, 256, (5, 7), dtype=np.uint8)
RGB = RNG.integers(0, 256, (5, 7, 3), dtype=np.uint8)
ALPHA = RNG.integers(0, 256, (5, 7, 1), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (5, 7), dtype=np.uint16)
FULL = np.array([[0, 1, 128, 129, 256, 385, 386, 65406, 65407, 65535]], dtype=np.uint16)
LOSSLESS = ["PNG", "BMP", "TIFF", "WEBP"]


def stored(image: Image.Image | np.ndarray, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(buffer, kind, **({"lossless": True} if kind == "WEBP" else {}), **options)
    return buffer.getvalue()


def threefold(grey: np.ndarray) -> np.ndarray:
    return np.stack([grey] * 3, axis=-1)


def tiff(width: int, height: int, bits: int, pixels: bytes, sample_format: int = 1) -> bytes:
    """An uncompressed grey TIFF, written by hand for kinds that Pillow does not write."""
    tags = {256: width, 257: height, 258: bits, 259: 1, 262: 1, 273: 8, 277: 1, 278: height}
    tags |= {279: len(pixels), 339: sample_format}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    directory = struct.pack("<H", len(tags)) + entries + bytes(4)
    return b"II*\0" + struct.pack("<I", 8 + len(pixels)) + pixels + directory


def exif_block(orientation: int, order: str = "<") -> bytes:
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    entry = struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0)
    return b"Exif\0\0" + head + struct.pack(order + "H", 1) + entry + bytes(4)


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds not one pixel."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunk = struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    return b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 0) + b"IDAT" + bytes(4)


# --- formats and modes


@pytest.mark.parametrize("kind", LOSSLESS)
def test_rgb_comes_back_exactly(kind):
    np.testing.assert_array_equal(read_image(stored(RGB, kind)), RGB)


@pytest.mark.parametrize("kind", LOSSLESS)
def test_grey_comes_back_three_times(kind):
    np.testing.assert_array_equal(read_image(stored(GREY, kind)), threefold(GREY))


@pytest.mark.parametrize("kind", LOSSLESS[:-1])  # lossy under alpha: WebP clears what is invisible
def test_alpha_is_dropped_and_the_colour_kept(kind):
    image = np.concatenate([RGB, np.zeros_like(ALPHA)], axis=2)
    np.testing.assert_array_equal(read_image(stored(image, kind)), RGB)


def test_alpha_of_webp_is_dropped():
    image = np.concatenate([RGB, np.full_like(ALPHA, 200)], axis=2)
    np.testing.assert_array_equal(read_image(stored(image, "WEBP")), RGB)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_grey_with_alpha(kind):
    image = Image.fromarray(np.dstack([GREY, ALPHA]), "LA")
    np.testing.assert_array_equal(read_image(stored(image, kind)), threefold(GREY))


@pytest.mark.parametrize("transparency", [None, 1, b"\0\x80\xff"])
@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_palette_gives_its_colours(kind, transparency):
    indices = np.arange(35, dtype=np.uint8).reshape(5, 7) % 3
    image = Image.fromarray(indices, "P")
    image.putpalette([10, 20, 30, 200, 100, 0, 7, 8, 9])
    options = {"transparency": transparency} if transparency is not None and kind == "PNG" else {}
    colours = np.array([[10, 20, 30], [200, 100, 0], [7, 8, 9]], np.uint8)
    data = stored(image, kind, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(read_image(data), colours[indices])


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_transparent_colour_is_kept(mode):
    image = Image.new(mode, (2, 1), "white")
    key = 255 if mode == "L" else (255, 255, 255)
    assert (read_image(stored(image, transparency=key)) == 255).all()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_one_bit(kind):
    bits = Image.fromarray(GREY > 127)
    np.testing.assert_array_equal(
        read_image(stored(bits, kind)), threefold(np.where(GREY > 127, 255, 0))
    )


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("values", [DEEP, FULL], ids=["random", "edges"])
def test_16_bit_grey_is_divided_by_257(kind, values):
    expected = np.rint(values / 257.0).astype(np.uint8)
    np.testing.assert_array_equal(read_image(stored(values, kind)), threefold(expected))


def test_16_bit_grey_of_either_byte_order():
    expected = threefold(np.rint(DEEP / 257.0))
    big = stored(Image.frombytes("I;16B", (7, 5), DEEP.astype(">u2").tobytes()), "TIFF")
    little = tiff(7, 5, 16, DEEP.astype("<u2").tobytes())
    assert (big[:2], little[:2]) == (b"MM", b"II")
    np.testing.assert_array_equal(read_image(big), expected)
    np.testing.assert_array_equal(read_image(little), expected)


def test_dark_16_bit_grey_is_not_stretched():
    dark = stored(np.full((2, 2), 4095, np.uint16))
    assert read_image(dark, white_level=None).max() == 16
    assert read_scaled(dark, lambda size: size, None)[0].max() == 16


def test_12_bit_tiff_has_its_own_full_scale():
    pixels = b"\xff\xf8\x00"  # 4095, 2048
    assert read_image(tiff(2, 1, 12, pixels))[0, :, 0].tolist() == [255, 128]


def test_32_bit_whole_numbers_count_as_16_bit():
    image = tiff(7, 5, 32, DEEP.astype("<i4").tobytes(), sample_format=2)
    np.testing.assert_array_equal(read_image(image), threefold(np.rint(DEEP / 257.0)))


def test_16_bit_rgb_is_divided_by_257():
    deep = RNG.integers(0, 65536, (3, 2, 3), dtype=np.uint16)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in deep)
    header = struct.pack(">IIBBBBB", 2, 3, 16, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    png = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + tag + body + struct.pack(">I", zlib.crc32(tag + body))
        for tag, body in chunks
    )
    np.testing.assert_array_equal(read_image(png), np.rint(deep / 257))


def test_floating_point_grey():
    values = np.array([[0, 0.25, 0.5, 1]], np.float32)
    assert read_image(stored(values, "TIFF"))[0, :, 0].tolist() == [0, 64, 128, 255]


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.01, 1.01, 255])
def test_floating_point_grey_outside_0_to_1_is_refused(value):
    values = np.array([[0, value, 0.5]], np.float32)
    with pytest.raises(ImageError, match=r"lie outside 0\.\.1, the scale of floating-point grey"):
        read_image(stored(values, "TIFF"), name="depth.tif")


@pytest.mark.parametrize("value", [-1, 65536])
def test_whole_numbers_beyond_16_bits_are_refused(value):
    with pytest.raises(ImageError, match=r"lie outside 0\.\.65535"):
        read_image(tiff(1, 1, 32, struct.pack("<i", value), sample_format=2))


def test_cmyk():
    cmyk = np.array([[[0, 0, 0, 0], [255, 0, 0, 0], [0, 0, 0, 255], [0, 255, 255, 0]]], np.uint8)
    expected = [[255, 255, 255], [0, 255, 255], [0, 0, 0], [255, 0, 0]]
    image = read_image(stored(Image.fromarray(cmyk, "CMYK"), "TIFF"))
    assert image[0].tolist() == expected


@pytest.mark.parametrize(
    ("kind", "mode"),
    [("JPEG", "L"), ("JPEG", "RGB"), ("JPEG", "CMYK"), ("WEBP", "L"), ("WEBP", "RGB")],
)
def test_lossy_kinds_come_near(kind, mode):
    ramp = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (32, 1))
    image = Image.fromarray(threefold(ramp)).convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, kind, quality=95)
    difference = read_image(buffer.getvalue()).astype(int) - threefold(ramp)
    assert np.abs(difference).max() <= 6


def test_jpeg_of_12_bits_is_refused_by_name():
    data = bytearray(stored(RGB, "JPEG"))
    data[data.index(b"\xff\xc0") + 4] = 12  # the precision in its frame header
    with pytest.raises(ImageError, match="JPEG of more than 8 bits is not supported; save it as"):
        read_image(bytes(data))


def test_first_page_of_several():
    pages = [Image.new("L", (2, 2), value) for value in (7, 99)]
    data = stored(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    assert (read_image(data) == 7).all()


def test_the_result_is_an_array_of_its_own():
    image = read_image(stored(RGB))
    assert image.dtype == np.uint8
    assert image.flags.c_contiguous
    assert image.flags.writeable


@pytest.mark.parametrize("name", ["a.png", "B.JPG", "c.Jpeg", "d.bmp", "e.tif", "f.TIFF", "g.webp"])
def test_image_names(name):
    assert is_image_name(name)


@pytest.mark.parametrize("name", ["a.txt", "png", "a.png.txt", "a.gif", ".png"])
def test_other_names(name):
    assert not is_image_name(name)


# --- orientation

TURNS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_exif_orientation_is_honoured(orientation, kind, order):
    data = stored(RGB, kind, exif=exif_block(orientation, order))
    np.testing.assert_array_equal(read_image(data), TURNS[orientation](RGB))


@pytest.mark.parametrize("orientation", TURNS)
def test_exif_orientation_of_16_bit_colour(orientation):
    deep = RNG.integers(0, 65536, (3, 2, 3), dtype=np.uint16)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in deep)
    header = struct.pack(">IIBBBBB", 2, 3, 16, 2, 0, 0, 0)
    exif = exif_block(orientation).removeprefix(b"Exif\0\0")
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"eXIf", exif), (b"IEND", b"")]
    png = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + tag + body + struct.pack(">I", zlib.crc32(tag + body))
        for tag, body in chunks
    )
    np.testing.assert_array_equal(read_image(png), TURNS[orientation](np.rint(deep / 257)))


@pytest.mark.parametrize("orientation", TURNS)
def test_exif_orientation_of_jpeg(orientation):
    blocks = np.kron(RGB, np.ones((16, 16, 1), np.uint8))
    plain = read_image(stored(blocks, "JPEG"))
    turned = read_image(stored(blocks, "JPEG", exif=exif_block(orientation)))
    np.testing.assert_array_equal(turned, TURNS[orientation](plain))


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("compression", ["raw", "tiff_lzw"])
@pytest.mark.parametrize("array", [RGB, DEEP], ids=["rgb", "16-bit"])
def test_orientation_tag_of_tiff(orientation, compression, array):
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[0x0112] = orientation
    data = stored(array, "TIFF", tiffinfo=tags, compression=compression)
    expected = array if array.ndim == 3 else threefold(np.rint(array / 257.0))
    np.testing.assert_array_equal(read_image(data), TURNS[orientation](expected))


@pytest.mark.parametrize(
    "exif",
    [
        b"",
        b"Exif\0\0",
        b"Exif\0\0garbage",
        exif_block(0),
        exif_block(9),
        exif_block(6)[:-8],
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0II*\0\x08\0\0\0\xff\xff",
        exif_block(6).replace(b"\x12\x01", b"\x12\x02"),
    ],
)
def test_absurd_exif_leaves_the_image_as_it_is(exif):
    assert exif_orientation(exif) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image = read_image(stored(RGB.repeat(16, 0), "JPEG", exif=exif))
    assert image.shape == (80, 7, 3)


# --- hostile files


def test_missing_file(tmp_path):
    with pytest.raises(ImageError, match=r"part\.png: cannot be read \(No such file"):
        read_image(tmp_path / "part.png")


def test_folder_named_like_an_image(tmp_path):
    with pytest.raises(ImageError, match="a folder; give an image file"):
        read_image(tmp_path)


def test_file_without_permission(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(stored(RGB))

    def refuse(*_args):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ImageError, match=r"a\.png: cannot be read \(Permission denied\)"):
        read_image(tmp_path / "a.png")


def test_impossible_name():
    with pytest.raises(ImageError, match="cannot be read"):
        read_image("nul\0.png")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_named_pipe_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ImageError, match="not a regular file"):
        read_image(tmp_path / "pipe.png")


HOSTILE = {
    "zero bytes": (b"", "the file is empty"),
    "text": (b"this is no picture\n", "not an image, whatever its name says"),
    "heic": (b"\0\0\0\x18ftypheic" + bytes(20), "is of the kind HEIC; save it as PNG"),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image"),
    "gif": (stored(GREY, "GIF"), "is of the kind GIF; save it as PNG"),
    "sound": (b"RIFF\x24\0\0\0WAVEfmt ", "not an image"),
    "30,000 x 30,000": (png_header(30_000, 30_000), "30000 x 30000 pixels are more than the 178 m"),
    "no pixels": (png_header(10, 10), "damaged"),
    "zero wide": (png_header(0, 10), "damaged"),
    "huge strip offset": (tiff(7, 5, 16, b"")[:8] + b"\xff" * 200, "damaged"),
    "grey of 24 bits": (
        tiff(1, 1, 24, b"abc"),
        "TIFF with unsigned samples of 24 bits is not supp",
    ),
}
HOSTILE |= {
    f"truncated {kind}": (data[: len(data) * 2 // 3], "damaged")
    for kind in [*LOSSLESS, "JPEG"]
    for data in [stored(np.kron(RGB, RNG.integers(0, 2, (20, 20, 1), np.uint8)), kind)]
}


@pytest.mark.parametrize(("data", "message"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_file(tmp_path, data, message):
    path = tmp_path / "part.png"
    path.write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ImageError, match=message) as caught:
            read_image(path)
    assert str(path) in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 2


@pytest.mark.parametrize("kind", [*LOSSLESS, "JPEG"])
def test_one_pixel(kind):
    assert read_image(stored(np.full((1, 1, 3), 128, np.uint8), kind)).tolist() == [[[128] * 3]]


def test_bytes_are_capped_before_reading(tmp_path, monkeypatch):
    (tmp_path / "big.png").write_bytes(bytes(2**20))
    monkeypatch.setattr(Path, "open", lambda *_: pytest.fail("it was opened"))
    with pytest.raises(ImageError, match=r"big\.png: 1 MiB are more than the 0 MiB allowed"):
        read_image(tmp_path / "big.png", max_bytes=100_000)
    with pytest.raises(ImageError, match="more than"):
        read_image(bytes(100), max_bytes=99)


def test_read_file_takes_a_file_of_just_the_limit(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    assert read_file(tmp_path / "a", max_bytes=5) == b"12345"


@pytest.mark.parametrize("kind", [*LOSSLESS, "JPEG"])
def test_pixels_are_capped_before_decoding(kind, monkeypatch):
    data = stored(Image.new("RGB", (300, 200)), kind)
    assert read_image(data, max_pixels=300 * 200).shape == (200, 300, 3)
    for reader in (ImageFile.ImageFile, TiffImagePlugin.TiffImageFile, WebPImageFile):
        monkeypatch.setattr(reader, "load", lambda *_: pytest.fail("it was decoded"))
    with pytest.raises(ImageError, match="300 x 200 pixels are more than"):
        read_image(data, max_pixels=300 * 200 - 1)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_pillows_own_limit_does_not_speak(kind, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)  # 35 pixels: Pillow would warn
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(read_image(stored(RGB, kind)), RGB)
    assert Image.MAX_IMAGE_PIXELS == 20


def test_odd_tiff_tags_do_not_speak(recwarn):
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[305] = "x" * 50
    data = stored(RGB, "TIFF", tiffinfo=tags)
    at = data.index(struct.pack("<HH", 305, 2)) + 8
    broken = data[:at] + struct.pack("<I", 10**9) + data[at + 4 :]  # beyond the end
    np.testing.assert_array_equal(read_image(broken), RGB)
    assert not recwarn.list


def test_odd_animation_does_not_speak(recwarn):
    data = stored(RGB)
    body = b"acTL" + struct.pack(">II", 0, 0)
    chunk = struct.pack(">I", 8) + body + struct.pack(">I", zlib.crc32(body))
    np.testing.assert_array_equal(read_image(data[:33] + chunk + data[33:]), RGB)
    assert not recwarn.list


def test_threads_agree_and_leave_the_warning_filters_alone():
    files = [stored(RGB + i % 8, "TIFF") for i in range(200)]
    expected = [read_image(data) for data in files]
    before = list(warnings.filters)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(read_image, files))
        after = list(warnings.filters)
    finally:
        sys.setswitchinterval(interval)
    assert after == before
    np.testing.assert_array_equal(found, expected)


SEEDS = [stored(RGB, kind) for kind in [*LOSSLESS, "JPEG"]]
SEEDS += [stored(DEEP, "TIFF", compression="tiff_lzw"), stored(RGB, "PNG", exif=exif_block(6))]


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@example(0, [(19, 255)], 10**6)
@given(
    st.integers(0, len(SEEDS) - 1),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=6),
    st.integers(0, 400),
)
def test_mutated_bytes_give_an_image_or_an_image_error(which, changes, length):
    data = bytearray(SEEDS[which])
    for at, value in changes:
        data[at % len(data)] = value
    try:
        image = read_image(bytes(data[:length]), max_pixels=10**6)
    except ImageError as error:
        message = str(error)
    else:
        message = "fine"
        assert (image.dtype, image.ndim, image.shape[2]) == (np.uint8, 3, 3)
    assert 1 <= len(message.splitlines()) <= 2


# --- resizing and writing


def test_resize_averages_where_it_shrinks():
    board = np.indices((64, 64)).sum(axis=0) % 2 * 255  # without antialiasing: 0, 255 or moiré
    small = resize_image(threefold(board.astype(np.uint8)), (4, 4))
    assert small.shape == (4, 4, 3)
    assert np.abs(small.astype(int) - 127.5).max() <= 2


def test_resize_takes_height_first_and_leaves_a_fitting_image_alone():
    assert resize_image(RGB, (2, 9)).shape == (2, 9, 3)
    assert resize_image(RGB, (5, 7)) is RGB


@pytest.mark.parametrize("size", [(0, 4), (4, -1)])
def test_resize_to_nothing(size):
    with pytest.raises(UsageError, match="cannot be"):
        resize_image(RGB, size)


@pytest.mark.parametrize("array", [GREY, RGB, DEEP, RGB[:, ::-1], GREY.T], ids=str)
def test_written_png_holds_what_was_given(tmp_path, array):
    write_png(tmp_path / "a.png", array)
    with Image.open(tmp_path / "a.png") as image:
        np.testing.assert_array_equal(np.asarray(image), array)
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize(
    "array", [GREY.astype(float), np.zeros((2, 2, 4), np.uint8), GREY[:0], GREY[0]], ids=str
)
def test_what_png_does_not_hold(array):
    with pytest.raises(UsageError, match="cannot write"):
        encode_png(array)


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    write_png(tmp_path / "a.png", GREY)

    def full(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(FlawmapError, match=r"Cannot write .*a\.png: No space left"):
        write_png(tmp_path / "a.png", 255 - GREY)
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]
    np.testing.assert_array_equal(read_image(tmp_path / "a.png")[..., 0], GREY)


def test_write_into_what_is_no_folder(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in ("file", "missing"):
        with pytest.raises(FlawmapError, match="Cannot write"):
            write_png(tmp_path / folder / "a.png", GREY)


def test_jpeg_quality_and_dtype():
    noise = RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    assert len(encode_jpeg(noise, 30)) < len(encode_jpeg(noise, 90))
    assert read_image(encode_jpeg(noise)).shape == noise.shape
    with pytest.raises(UsageError, match="JPEG holds uint8"):
        encode_jpeg(DEEP)


# --- real images


@pytest.mark.realdata
def test_real_image_agrees_with_pillow_alone(shared_data):
    folder = shared_data / "mvtec_ad_native/toothbrush"
    with Image.open(folder / "test/defective/000.png") as image:
        expected = np.asarray(image.convert("RGB"))
    image = read_image(folder / "test/defective/000.png")
    np.testing.assert_array_equal(image, expected)


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "I;16", "1", "F"])
@pytest.mark.parametrize("size", [(40, 30), (12, 17), (80, 60)])
def test_scaled_in_one_go_is_as_scaled_afterwards(mode, size):
    values = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)
    picture = Image.fromarray(values)
    if mode == "I;16":
        picture = Image.fromarray(values[..., 0].astype(np.uint16) * 257)
    elif mode == "F":
        picture = Image.fromarray(values[..., 0].astype(np.float32) / 255)
    else:
        picture = picture.convert(mode)
    buffer = io.BytesIO()
    picture.save(buffer, "TIFF" if mode == "F" else "PNG")
    asked = []
    scaled, own = read_scaled(buffer.getvalue(), lambda found: asked.append(found) or size)
    assert asked == [own] == [(40, 30)]
    np.testing.assert_array_equal(scaled, resize_image(read_image(buffer.getvalue()), size))
