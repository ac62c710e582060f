from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from flawmap.data.listing.images import list_images
from flawmap.data.resize import Framing
from flawmap.data.samples import Dataset, good_samples
from flawmap.training.good_images.load import load_good_images
from flawmap.training.good_images.split import Part


@pytest.mark.parametrize(
    ("height", "width", "size", "kept"),
    [
        (125, 50, (256, 256), "640x256"),
        (50, 125, (256, 256), "256x640"),
        (125, 50, (640, 256), None),
        (60, 50, (256, 256), None),
    ],
)
def test_a_shape_that_would_be_squeezed_is_told(tmp_path, height, width, size, kept):
    for number in range(6):
        pixels = np.random.default_rng(number).integers(0, 256, (height, width), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    dataset = Dataset(tmp_path, "folder", "", good_samples(list_images(tmp_path)), ())
    hint = load_good_images(dataset, Framing(size), tmp_path / "cache", 0).shape_hint()
    if kept is None:
        assert hint is None
    else:
        assert hint is not None
        assert f"are {height}x{width}" in hint
        assert f"--size {kept} or --fit letterbox keeps" in hint


def test_all_twins_of_a_run_in_folds_have_the_same_images_in_all(tmp_path):
    for number in range(9):
        pixels = np.random.default_rng(number).integers(0, 256, (32, 32), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    dataset = Dataset(tmp_path, "folder", "", good_samples(list_images(tmp_path)), ())
    parts = [Part(3, fold) for fold in (0, 1, 2, None)]
    found = [load_good_images(dataset, Framing((32, 32)), tmp_path, 0, part) for part in parts]
    assert len({tuple(one.train_rows) for one in found}) == 4
    assert {tuple(one.all_rows) for one in found} == {tuple(range(9))}
