"""The working size that keeps the shape of the good images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flawmap.methods.registry import METHODS
from flawmap.training.choices.shape import choose_size
from flawmap.training.config import TrainConfig
from flawmap.training.resolve import choose_open_options, method_config
from flawmap.types import Fit, Size


def pictures(folder: Path, *shapes: Size) -> list[Path]:
    """A picture of each (height, width)."""
    paths = []
    for number, shape in enumerate(shapes):
        paths.append(folder / f"{number}.png")
        Image.fromarray(np.zeros(shape, np.uint8)).save(paths[-1])
    return paths


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((1240, 500), (640, 256)),
        ((50, 125), (256, 640)),
        ((90, 160), (256, 512)),
        ((30, 900), (256, 1024)),  # four times at most
        ((60, 80), (256, 256)),
        ((1024, 1024), (256, 256)),
    ],
)
def test_the_longer_side_grows_with_the_images(tmp_path: Path, shape: Size, expected: Size):
    said: list[str] = []
    found = choose_size((256, 256), pictures(tmp_path, shape, shape), said.append)
    assert found == expected
    if expected == (256, 256):
        assert not said
    else:
        (line,) = said
        assert line.startswith(f"Working size: {expected[0]}x{expected[1]}, as the images are ")
        assert "--size 256x256 would squeeze them, but takes " in line
        assert f"{100 * 256 / max(expected):.0f} % of the time" in line


def test_the_median_image_counts_upright_and_what_cannot_be_read_does_not(tmp_path: Path):
    paths = pictures(tmp_path, (100, 100), (100, 300), (100, 310))
    (tmp_path / "3.png").write_bytes(b"no picture")
    assert choose_size((256, 256), [*paths, tmp_path / "3.png"]) == (256, 768)
    assert choose_size((256, 256), [tmp_path / "3.png"]) == (256, 256)
    lying = Image.fromarray(np.zeros((100, 250), np.uint8))
    exif = lying.getexif()
    exif[274] = 6  # to be turned by a quarter when shown
    lying.save(tmp_path / "turned.jpg", exif=exif)
    assert choose_size((256, 256), [tmp_path / "turned.jpg"]) == (640, 256)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, (640, 256)),
        ({"size": (256, 256)}, (256, 256)),
        ({"changes": {"size": [256, 384]}}, (256, 384)),
        ({"changes": {"follows_shape": False}}, (256, 256)),
        ({"fit": "letterbox"}, (256, 256)),
        ({"fit": "tiles"}, (256, 256)),
        ({"preset": "paper"}, (256, 256)),
    ],
)
def test_it_is_settled_where_it_is_left_open(
    tmp_path: Path, method: str, asked: dict[str, object], expected: Size
):
    paths = pictures(tmp_path, (125, 50))
    config = TrainConfig.of({"method": method, **asked})
    assert method_config(choose_open_options(config, paths, None, 32, print)).size == expected


@pytest.mark.parametrize("fit", ["squash", "letterbox"])
def test_the_white_level_is_settled_with_it(tmp_path: Path, fit: Fit):
    paths = pictures(tmp_path, (125, 50))
    settled = choose_open_options(TrainConfig(fit=fit), paths, 4095, 1, print)
    assert settled.white_level == 4095
