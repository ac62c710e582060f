"""Images for programs in other languages, and what Pillow makes of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flawmap.data.image_io.images import resize_image

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SHAPES = [(40, 60), (300, 280), (777, 1031), (1, 7), (256, 600), (900, 300), (2000, 3), (256, 256)]
"""Smaller and larger than 256x256, one of them along one side, and the very size."""

Resizer = Callable[[Sequence[NDArray[np.uint8]], tuple[int, int]], Sequence[bytes]]


def draw_pngs(folder: Path) -> list[Path]:
    """Write noise of many shapes, and each kind of PNG with 8 bits."""
    rng = np.random.default_rng(3)
    made = [Image.fromarray(rng.integers(0, 256, (*shape, 3), np.uint8)) for shape in SHAPES]
    other = made[1]
    made += [other.convert("L"), other.convert("LA"), other.convert("RGBA"), other.quantize(200)]
    paths = [folder / f"{index}.png" for index in range(len(made))]
    for path, image in zip(paths, made, strict=True):
        image.save(path)
    return paths


def check_resizing(resizer: Resizer) -> None:
    """The same bytes as Pillow's, for noise and for black and white, larger and smaller."""
    rng = np.random.default_rng(5)
    images = [rng.integers(0, 256, (*shape, 3), np.uint8) for shape in SHAPES]
    images += [rng.integers(0, 2, (*shape, 3), np.uint8) * np.uint8(255) for shape in SHAPES[:4]]
    for size in ((256, 256), (33, 190)):
        for image, found in zip(images, resizer(images, size), strict=True):
            assert found == resize_image(image, size).tobytes(), (image.shape, size)
