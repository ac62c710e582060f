"""The white level: values of 10, 12 or 14 bits in files of 16."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest

from data.image_io.tiffs import write_tiff
from flawmap.data.image_io.images import encode_png, read_image, read_scaled
from flawmap.data.resize import Framing
from flawmap.errors import UsageError
from flawmap.inspection.bundle.manifest import Preprocessing

RNG = np.random.default_rng(8)
GREY = RNG.integers(0, 256, (6, 11), np.uint8)
GREY[0, :2] = 0, 255
BITS = [8, 10, 12, 14, 16]


def deep(bits: int) -> np.ndarray:
    """The grey levels as a camera of so many bits gives them."""
    return np.rint(GREY * ((2**bits - 1) / 255)).astype(np.uint16)


def deep_png(values: np.ndarray) -> bytes:
    """A PNG of several channels of 16 bits, which Pillow does not write."""
    kind = {2: 4, 3: 2, 4: 6}[values.shape[2]]
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, kind, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + tag + body + struct.pack(">I", zlib.crc32(tag + body))
        for tag, body in chunks
    )


FILES = {
    "png": encode_png,
    "png-grey-alpha": lambda v: deep_png(np.dstack([v, v // 3])),
    "png-rgb": lambda v: deep_png(np.dstack([v, v, v])),
    "png-rgba": lambda v: deep_png(np.dstack([v, v, v, v // 3])),
    "tiff": write_tiff,
    "tiff-big-endian": lambda v: write_tiff(v, order=">"),
    "tiff-rgb": lambda v: write_tiff(np.dstack([v, v, v])),
    "tiff-planes": lambda v: write_tiff(np.dstack([v, v, v]), planar=True),
    "tiff-32": lambda v: write_tiff(v.astype(np.uint32)),
    "tiff-signed": lambda v: write_tiff(v.astype(np.int32)),
}


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("file", FILES.values(), ids=FILES)
def test_levels_of_a_camera_are_those_of_8_bits(file, bits):
    data = file(deep(bits))
    for white_level in (2**bits - 1, "guess"):
        found = read_image(data, white_level=white_level)
        np.testing.assert_array_equal(found, np.repeat(GREY[:, :, None], 3, 2))
    scaled, _ = read_scaled(data, lambda size: size, 2**bits - 1)
    np.testing.assert_array_equal(scaled, found)


@pytest.mark.parametrize("bits", [10, 12, 14])
@pytest.mark.parametrize("file", FILES.values(), ids=FILES)
def test_without_a_white_level_65535_is_white(file, bits):
    found = read_image(file(deep(bits)), white_level=None)
    np.testing.assert_array_equal(found[:, :, 0], np.rint(deep(bits) / 257))


@pytest.mark.parametrize("white_level", [None, "guess"])
@pytest.mark.parametrize(("tag", "kind"), [(281, 3), (341, 3), (50717, 4)])
def test_tags_say_what_is_white(tag, kind, white_level):
    dark = deep(12) // 20  # which would be guessed as 8 bits
    data = write_tiff(dark, tags={tag: (kind, [4095])})
    found = read_image(data, white_level=white_level)
    np.testing.assert_array_equal(found[:, :, 0], np.rint(dark * (255 / 4095)))
    given = read_image(data, white_level=16383)
    np.testing.assert_array_equal(given[:, :, 0], np.rint(dark * (255 / 16383)))


def test_a_tag_that_says_what_the_image_holds_is_not_white():
    values = deep(16) // 3
    found = read_image(write_tiff(values, tags={281: (3, [int(values.max())])}))
    np.testing.assert_array_equal(found[:, :, 0], np.rint(values / 257))


def test_white_is_zero_of_12_bits():
    stored = 4095 - deep(12)
    found = read_image(write_tiff(stored, photometric=0, tags={281: (3, [4095])}))
    np.testing.assert_array_equal(found[:, :, 0], GREY)


def test_images_of_8_bits_and_floats_have_no_white_level():
    for data in (encode_png(GREY), write_tiff((GREY / 255).astype(np.float32))):
        np.testing.assert_array_equal(read_image(data, white_level=4095)[:, :, 0], GREY)


@pytest.mark.parametrize("white", [0, -1, 65536])
def test_no_white_level(white):
    with pytest.raises(UsageError, match="The white level"):
        Framing((8, 8), white_level=white)
    with pytest.raises(ValueError, match="The white level"):
        Preprocessing(size=(8, 8), white_level=white)


@pytest.mark.parametrize("fit", ["squash", "letterbox", "tiles"])
def test_framing_reads_as_it_decodes(fit):
    data = encode_png(deep(12))
    framing = Framing((16, 16), fit, white_level=4095)
    assert Preprocessing.of(framing).framing == framing
    read, decoded = framing.read(data), framing.preprocess(framing.decode(data))
    np.testing.assert_array_equal(read.pixels, decoded.pixels)
    np.testing.assert_array_equal(framing.decode(deep(12)), framing.decode(data))
