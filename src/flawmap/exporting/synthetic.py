"""Synthetic anomalies on good images: quantisation is calibrated and evaluated on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from flawmap.synthesis.anomalies import AnomalyConfig, corrupt, draw_parameters
from flawmap.synthesis.textures import draw_textures
from flawmap.utils.rng import Stream, generator

_TEXTURES = 64


@dataclass(frozen=True)
class Corrupted:
    """Images (N, h, w, 3) uint8 with their non-empty masks (N, h, w) uint8 {0, 1}."""

    images: NDArray[np.uint8]
    masks: NDArray[np.uint8]


def no_anomalies(good: NDArray[np.uint8]) -> Corrupted:
    """Return a set of no images, with the shapes of ``good`` (N, h, w, 3)."""
    return Corrupted(good[:0], good[:0, ..., 0])


def draw_anomalies(good: NDArray[np.uint8], count: int, seed: int) -> Corrupted:
    """Add anomalies to ``count`` images, cycling through ``good``; drop empty masks."""
    good = good[np.arange(count) % len(good)]
    config = AnomalyConfig(foreground_share=0.5, line_share=0.3)
    size = (good.shape[1], good.shape[2])
    bank = draw_textures(_TEXTURES, size, seed, Stream.DEFECT_TEXTURE)
    parameters = draw_parameters(generator(seed, Stream.DEFECTS), len(good), len(bank), config)
    images, masks = corrupt(_planes(good), _planes(bank[parameters.texture]), parameters, config)
    pixels = (images.permute(0, 2, 3, 1) * 255).round().to(torch.uint8).numpy()
    anomalous = masks[:, 0].to(torch.uint8).numpy()
    kept = anomalous.any((1, 2))
    return Corrupted(pixels[kept], anomalous[kept])


def _planes(images: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 255
