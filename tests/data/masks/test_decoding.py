"""Masks: every encoding against values worked out by hand."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from data.image_io.test_images import GREY, exif_block, stored
from flawmap.data.image_io.images import ImageError
from flawmap.data.masks.decoding import marks_anything, read_mask


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([0, 255, 0, 255], "PNG"),
        ([0, 1, 0, 1], "PNG"),
        ([0, 1, 0, 255], "PNG"),
        ([0, 3, 0, 2], "BMP"),
        ([0, 100, 0, 100], "TIFF"),
        ([0, 130, 100, 254, 90, 127, 128, 255], "PNG"),
    ],
)
def test_mask_values(values, kind):
    few = len(set(values)) <= 4
    expected = [int(v > 0) if few else int(v >= 127.5) for v in values]
    mask = read_mask(stored(np.array([values], np.uint8), kind), (1, len(values)))
    assert mask.dtype == np.uint8
    assert mask[0].tolist() == expected


@pytest.mark.parametrize("top", [1, 255, 65535])
def test_deep_mask(top):
    mask = read_mask(stored(np.array([[0, top]], np.uint16)), (1, 2))
    assert mask.tolist() == [[0, 1]]


def test_mask_in_colour_or_palette_or_one_bit():
    indices = np.array([[0, 1, 2]], np.uint8)
    palette = Image.fromarray(indices, "P")
    palette.putpalette([0, 0, 0, 0, 0, 9, 200, 0, 0])
    for image in (palette, palette.convert("RGB"), Image.fromarray(indices > 0)):
        assert read_mask(stored(image), (1, 3)).tolist() == [[0, 1, 1]]


@pytest.mark.parametrize("top", [1, 255])
def test_mask_is_resized_by_area_whatever_its_values(top):
    mask = np.zeros((16, 16), np.uint8)
    mask[:, :6] = top
    mask[3, 12] = top  # one pixel of 16: less than half
    small = read_mask(stored(mask), (4, 4))
    # Hand-made triangle weights over 8 columns centred on column 6: 1 3 5 7 | 7 5 3 1, of 32
    assert small.tolist() == [[1, 1, 0, 0]] * 4


def test_an_exact_half_counts_as_marked():
    mask = np.array([[255, 0]], np.uint8)
    assert read_mask(stored(mask), (1, 1)).tolist() == [[1]]


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "LA", "RGBA", "I;16"])
@pytest.mark.parametrize("marked", [False, True])
def test_whether_a_mask_marks_anything(mode, marked):
    values = np.zeros((5, 4), np.uint16 if mode == "I;16" else np.uint8)
    values[3, 1] = marked * (1 if mode != "1" else 255)
    if mode == "P":
        image = Image.fromarray(values, "P")
        image.putpalette([0, 0, 0, 200, 0, 0])
    else:
        image = Image.fromarray(values)
        image = image if mode == "I;16" else image.convert(mode)
    file = io.BytesIO()
    image.save(file, "PNG")
    assert marks_anything(file.getvalue()) is marked


def test_mask_of_another_size():
    with pytest.raises(ImageError, match=r"m\.png: mask of another size .*mask 7 x 5, image 5 x 7"):
        read_mask(stored(GREY), (4, 4), image_size=(7, 5), name="m.png")
    assert read_mask(stored(GREY), (4, 4), image_size=(5, 7)).shape == (4, 4)


def test_mask_turns_with_its_orientation():
    mask = np.array([[255, 0, 0]], np.uint8)
    data = stored(mask, exif=exif_block(6))
    assert read_mask(data, (3, 1), image_size=(3, 1)).tolist() == [[1], [0], [0]]


def test_broken_mask(tmp_path):
    (tmp_path / "m.png").write_text("no")
    with pytest.raises(ImageError, match=r"m\.png: not an image"):
        read_mask(tmp_path / "m.png", (4, 4))


@pytest.mark.realdata
def test_real_mask_agrees_with_pillow_alone(shared_data):
    file = shared_data / "mvtec_ad_native/toothbrush/ground_truth/defective/000_mask.png"
    mask = read_mask(file, (256, 256))
    with Image.open(file) as stored_mask:
        small = stored_mask.convert("L").resize((256, 256), Image.Resampling.BILINEAR)
    assert 0 < mask.mean() < 0.5
    assert np.mean(mask != (np.asarray(small) >= 127.5)) < 1e-4
