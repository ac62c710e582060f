"""A small part that lies alike in all images."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

SIDE = 64


def part(rng: np.random.Generator) -> np.ndarray:
    """A square with two legs and a hole on grey, uint8 (64, 64, 3), with grain."""
    image = Image.new("L", (SIDE, SIDE), 150)
    pen = ImageDraw.Draw(image)
    pen.rectangle((20, 12, 44, 36), fill=40)
    pen.rectangle((23, 36, 27, 54), fill=220)
    pen.rectangle((37, 36, 41, 54), fill=220)
    pen.ellipse((28, 17, 36, 25), fill=200)
    x, y = rng.integers(-1, 2, 2)
    image = image.rotate(0, translate=(x, y), fillcolor=150)
    grey = np.asarray(image, np.float32) + rng.normal(0, 4, (SIDE, SIDE))
    return np.repeat(grey.clip(0, 255).astype(np.uint8)[..., None], 3, 2)


def upright(count: int, seed: int = 0) -> np.ndarray:
    """As many photographs of it, (count, 64, 64, 3)."""
    rng = np.random.default_rng(seed)
    return np.stack([part(rng) for _ in range(count)])
