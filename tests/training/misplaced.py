"""The demo's product, and photographs of it all of whose structures are good ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from flawmap.demonstration.camera import Shot, photograph
from flawmap.demonstration.drawing import Product


def draw(product: Product, wrong: str | None, number: int) -> np.ndarray:
    """A photograph (size, size, 3) uint8: a good part, or one "missing", "turned" or "doubled"."""
    shot = Shot.sample(np.random.default_rng(number), product.scene)
    surface = product.surface.copy()
    if wrong == "missing":
        surface.part[:] = 0.0
    elif wrong == "turned":
        shot = replace(shot, angle=shot.angle + np.pi / 2)
    elif wrong == "doubled":
        shift = surface.part.shape[1] // 3
        beside = np.roll(surface.part, shift, 1)
        for name in ("height", "albedo", "gloss", "grain"):
            layer = getattr(surface, name)
            layer[beside > 0.5] = np.roll(layer, shift, 1)[beside > 0.5]
        surface.part = np.maximum(surface.part, beside)
    picture = photograph(surface, product.scene, shot)
    return np.rint(picture).clip(0, 255).astype(np.uint8)
