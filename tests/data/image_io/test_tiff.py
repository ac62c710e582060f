"""Kinds of TIFF: each decoded right, against values worked out by hand, or refused by name."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from data.image_io.tiffs import write_tiff
from flawmap.data.image_io.images import ImageError, declared_pixels, read_image, read_scaled
from flawmap.data.masks.decoding import read_mask

RNG = np.random.default_rng(6)
SIZE = (21, 35)
LAYOUTS = [
    {},
    {"order": ">"},
    {"rows": 8},
    {"tile": (16, 32)},
    {"deflate": True, "rows": 8},
    {"deflate": True, "predictor": 2},
    {"deflate": True, "predictor": 2, "tile": (16, 16), "order": ">"},
    {"big": True},
    {"big": True, "order": ">", "rows": 8},
]


def ids(options):
    return "-".join(map(str, options)) or "plain"


def samples(kind: str, channels: int) -> np.ndarray:
    shape = SIZE if channels == 1 else (*SIZE, channels)
    if kind[0] == "f":
        return (RNG.integers(0, 256, shape) / 255).astype(kind)  # no ties in rounding
    highest = {"u1": 256, "i2": 32768}.get(kind, 65536)
    return RNG.integers(0, highest, shape).astype(kind)


def as_bytes(values: np.ndarray) -> np.ndarray:
    """What is right: scaled to 0..255, three channels of it."""
    full = 1 if values.dtype.kind == "f" else 255 if values.dtype == np.uint8 else 65535
    scaled = np.rint(values.astype(np.float64) * 255 / full).astype(np.uint8)
    return np.repeat(scaled[:, :, None], 3, axis=2) if scaled.ndim == 2 else scaled[:, :, :3]


@pytest.mark.parametrize("planar", [False, True], ids=["chunky", "planes"])
@pytest.mark.parametrize("layout", LAYOUTS, ids=ids)
@pytest.mark.parametrize("kind", ["u1", "u2", "u4", "i2", "i4", "f2", "f4", "f8"])
def test_colour(kind, layout, planar):
    values = samples(kind, 3)
    data = write_tiff(values, planar=planar, **layout)
    np.testing.assert_array_equal(read_image(data, white_level=None), as_bytes(values))


@pytest.mark.parametrize("layout", LAYOUTS, ids=ids)
@pytest.mark.parametrize("white_is_zero", [False, True], ids=["black0", "white0"])
@pytest.mark.parametrize("kind", ["u1", "u2", "f4"])
def test_grey_and_its_negative(kind, white_is_zero, layout):
    values = samples(kind, 1)
    full = {"u1": 255, "u2": 65535, "f4": np.float32(1)}[kind]
    stored = (full - values).astype(kind) if white_is_zero else values
    data = write_tiff(stored, photometric=0 if white_is_zero else 1, **layout)
    np.testing.assert_array_equal(read_image(data, white_level=None), as_bytes(values))


@pytest.mark.parametrize("order", "<>")
def test_floating_point_predictor(order):
    values = samples("f4", 3)
    data = write_tiff(values, deflate=True, predictor=3, order=order)
    np.testing.assert_array_equal(read_image(data), as_bytes(values))


@pytest.mark.parametrize("compression", ["tiff_lzw", "packbits", "tiff_adobe_deflate", "lzma"])
def test_compressions_of_pillows_own(compression):
    values = samples("u2", 1)
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "TIFF", compression=compression)
    np.testing.assert_array_equal(read_image(buffer.getvalue()), as_bytes(values))


@pytest.mark.parametrize("channels", [1, 3])
def test_a_predictor_before_packbits_is_undone(channels):
    """libtiff, and so Pillow, leaves it as it is."""
    values = samples("u1", channels)
    row = SIZE[1] * channels
    plain = write_tiff(values, predictor=2)
    at = plain[8 : 8 + SIZE[0] * row]
    packed = b"".join(bytes([row - 1]) + at[top : top + row] for top in range(0, len(at), row))
    data = write_tiff(
        np.frombuffer(packed, np.uint8).reshape(SIZE[0], -1),
        predictor=1,
        photometric=2 if channels == 3 else 1,
        tags={256: (4, [SIZE[1]]), 258: (3, [8] * channels), 259: (3, [32773]),
              277: (3, [channels]), 317: (3, [2]), 339: (3, [1] * channels)},
    )  # fmt: skip
    np.testing.assert_array_equal(read_image(data), as_bytes(values))


@pytest.mark.parametrize(("channels", "white_is_zero"), [(1, False), (1, True), (3, False)])
@pytest.mark.parametrize("bits", [9, 10, 12, 14, 15])
def test_packed_samples_have_their_own_full_scale(bits, channels, white_is_zero):
    full = 2**bits - 1
    values = RNG.integers(0, full + 1, (*SIZE, channels)).astype(np.uint16)
    stored = full - values if white_is_zero else values
    photometric = 2 if channels == 3 else int(not white_is_zero)
    found = read_image(write_tiff(stored, bits=bits, photometric=photometric), white_level=65535)
    expected = np.rint(values.astype(np.float64) * 255 / full)
    np.testing.assert_array_equal(found, np.broadcast_to(expected, (*SIZE, 3)))


@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("kind", ["u1", "u2"])
@pytest.mark.parametrize(
    ("extra", "channels"), [([0], 4), ([2], 4), ([], 4), ([0], 2), ([2], 2), ([0, 0, 0], 6)]
)
def test_extra_samples_are_dropped(extra, channels, kind, planar):
    values = samples(kind, channels)
    data = write_tiff(values, planar=planar, tags={338: (3, extra)})
    expected = as_bytes(values) if channels > 3 else as_bytes(values[:, :, 0])
    np.testing.assert_array_equal(read_image(data), expected)


@pytest.mark.parametrize("planar", [False, True])
def test_colour_multiplied_by_alpha_is_divided_by_it(planar):
    colour = np.array([[[65535, 32768, 0], [500, 60000, 7], [9, 9, 9]]], np.uint16)
    alpha = np.array([[[65535], [32768], [0]]], np.uint16)
    stored = np.rint(colour * (alpha / 65535)).astype(np.uint16)
    data = write_tiff(np.dstack([stored, alpha]), planar=planar, tags={338: (3, [1])})
    found = read_image(data).tolist()
    assert found == [[[255, 128, 0], [2, 233, 0], [0, 0, 0]]]


@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("factor", [1, 257])
def test_cmyk(factor, planar):
    cmyk = samples("u1", 4)
    expected = np.asarray(Image.fromarray(cmyk, "CMYK").convert("RGB"))
    stored = cmyk.astype(np.uint16) * 257 if factor == 257 else cmyk
    data = write_tiff(stored, photometric=5, planar=planar)
    np.testing.assert_array_equal(read_image(data), expected)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_planes(orientation):
    eight = samples("u1", 3)
    chunky = write_tiff(eight, tags={274: (3, [orientation])})
    planes = write_tiff(eight.astype(np.uint16) * 257, planar=True, tags={274: (3, [orientation])})
    expected = read_image(chunky)  # by Pillow
    np.testing.assert_array_equal(read_image(planes), expected)
    assert expected.shape[:2] == (SIZE if orientation < 5 else SIZE[::-1])


def test_without_a_photometric_interpretation_0_is_black():
    values = samples("u1", 1)
    data = write_tiff(values, tags={262: (3, [])})
    np.testing.assert_array_equal(read_image(data), as_bytes(values))


@pytest.mark.parametrize("fit", [(21, 35), (7, 9)])
def test_scaled_as_the_whole_image_is(fit):
    data = write_tiff(samples("u2", 3), planar=True)
    found, own = read_scaled(data, lambda size: fit)
    whole = Image.fromarray(read_image(data)).resize(fit[::-1], Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(found, np.asarray(whole))
    assert own == SIZE


def test_pixels_are_declared_where_pillow_cannot_tell(tmp_path):
    for options in ({"planar": True}, {"order": ">", "big": True}):
        (tmp_path / "a.tif").write_bytes(write_tiff(samples("f4", 3), **options))
        assert declared_pixels(tmp_path / "a.tif") == SIZE[0] * SIZE[1]


@pytest.mark.parametrize("planar", [False, True])
def test_masks_of_16_bit_colour(planar):
    mask = np.zeros((*SIZE, 3), np.uint16)
    mask[5:9, 3:20, 1] = 65535
    found = read_mask(write_tiff(mask, planar=planar), None)
    np.testing.assert_array_equal(found, (mask.max(axis=2) > 0).astype(np.uint8))


GREY, COLOUR = samples("u2", 1), samples("u2", 3)
REFUSED = {
    "signed 8-bit": (write_tiff(GREY.astype(np.int8)), "signed 8-bit samples"),
    "negative": (write_tiff(GREY.astype(np.int16)), r"lie outside 0\.\.65535"),
    "too high": (write_tiff(GREY.astype(np.uint32) + 65530), r"lie outside 0\.\.65535"),
    "64 bits": (write_tiff(GREY.astype(np.uint64)), "unsigned samples of 64 bits"),
    "6 bits": (write_tiff(GREY & 63, bits=6), "unsigned samples of 6 bits"),
    "complex": (write_tiff(GREY, tags={339: (3, [6])}), "complex samples"),
    "mixed": (write_tiff(COLOUR, tags={258: (3, [16, 8, 16])}), "samples of 16, 8, 16 bits"),
    "float white 0": (write_tiff(GREY.astype(np.int16), photometric=0), "0 is white"),
    "palette": (write_tiff(GREY, photometric=3), "a palette of 16 bits"),
    "YCbCr": (write_tiff(COLOUR, photometric=6, tags={530: (3, [1, 1])}), "YCbCr colour of 16"),
    "subsampled": (write_tiff(samples("u1", 3), photometric=6), "subsampled YCbCr colour"),
    "LAB": (write_tiff(COLOUR, photometric=8), "CIELab colour of 16 bits"),
    "Bayer": (write_tiff(GREY, photometric=32803), r"a raw colour mosaic \(Bayer\)"),
    "linear raw": (write_tiff(COLOUR, photometric=34892), "raw linear colour"),
    "no such": (write_tiff(COLOUR, photometric=77), "photometric interpretation 77"),
    "inks": (write_tiff(samples("u1", 4), photometric=5, tags={332: (3, [2])}), "inks other"),
    "5 channels": (write_tiff(samples("u2", 5), photometric=1), "5 channels that are no colours"),
    "JPEG 2000": (write_tiff(GREY, tags={259: (3, [34712])}), "JPEG 2000 compression"),
    "WebP": (write_tiff(samples("u1", 3), tags={259: (3, [50001])}), "WebP compression"),
    "no such compression": (write_tiff(GREY, tags={259: (3, [999])}), "compression 999"),
    "JPEG of 12 bits": (write_tiff(GREY, tags={259: (3, [7])}), "JPEG compression of 16-bit"),
    "JPEG in planes": (
        write_tiff(samples("u1", 3), planar=True, tags={259: (3, [7])}),
        "JPEG compression of samples in planes",
    ),
    "predictor": (write_tiff(GREY, tags={317: (3, [9])}), "predictor 9"),
    "float predictor": (write_tiff(GREY, tags={317: (3, [3])}), "floating-point predictor"),
}


@pytest.mark.parametrize(("data", "name"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_read_right_is_refused_by_name(data, name):
    with pytest.raises(ImageError, match=name) as caught:
        read_image(data, name="part.tif")
    assert str(caught.value).startswith("part.tif: ")
    assert "damaged" not in str(caught.value)
    assert "save" in str(caught.value)


WHOLE = write_tiff(COLOUR, planar=True, rows=8)
DAMAGED = {
    "cut": WHOLE[: len(WHOLE) // 2],
    "no strips": write_tiff(COLOUR, planar=True, tags={273: (4, [])}),
    "beyond the end": write_tiff(COLOUR, planar=True, tags={256: (4, [350])}),
    "few strips": write_tiff(COLOUR, planar=True, tags={278: (4, [3])}),
    "no width": write_tiff(COLOUR, planar=True, tags={256: (4, [])}),
    "no pixels": write_tiff(COLOUR, planar=True, tags={257: (4, [0])}),
    "no rows": write_tiff(GREY, tags={278: (4, [0])}),
    "samples": write_tiff(COLOUR, tags={277: (4, [2**31])}),
    "compressed": write_tiff(COLOUR, tags={259: (3, [8])}),
    "few colours": write_tiff(samples("u2", 2), photometric=2),
}


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED)
def test_damaged_files(data):
    with pytest.raises(ImageError, match="damaged or of an unknown kind"):
        read_image(data)
