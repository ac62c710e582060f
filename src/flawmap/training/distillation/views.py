"""What both networks read: random crops of a bank of images, rotated, scaled, recoloured.

Batch t is a pure function of (seed, t).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from flawmap.utils.rng import keyed

Bank = npt.NDArray[np.uint8]  # (n, 256, 256, 3)


def unit_range(pixels: Bank) -> Tensor:
    """Map uint8 (B, H, W, 3) to float32 (B, 3, H, W) in 0..1."""
    return torch.from_numpy(np.array(pixels)).permute(0, 3, 1, 2).float() / 255


def draw_views(
    banks: list[tuple[Bank, float]], batch: int, side: int, seed: int, step: int
) -> Tensor:
    """Draw the views of one step, float32 (batch, 3, side, side) in 0..1.

    ``banks``: images, and the share of a batch that each bank gives; shares sum to 1.
    """
    rng = keyed(seed, step)
    which = rng.choice(len(banks), batch, p=[share for _, share in banks])
    images = np.stack([bank[rng.integers(len(bank))] for bank in (banks[i][0] for i in which)])
    grid = F.affine_grid(_crops(rng, batch, side / images.shape[1]), [batch, 3, side, side], False)
    views = F.grid_sample(unit_range(images), grid, "bilinear", "reflection", False)
    return _recoloured(rng, views)


def _crops(rng: np.random.Generator, batch: int, share: float) -> Tensor:
    """(batch, 2, 3) affine maps: quarter turns with some tilt, flips, scale 0.6-1.5, aspect."""
    angle = rng.integers(4, size=batch) * (math.pi / 2) + rng.normal(0, 0.15, batch)
    scale = share * np.exp(rng.uniform(math.log(0.6), math.log(1.5), batch))
    aspect = np.exp(rng.normal(0, 0.1, batch))
    flip = rng.choice([-1.0, 1.0], batch)
    room = np.maximum(1 - scale, 0)[:, None]
    centre = rng.uniform(-1, 1, (batch, 2)) * room
    c, s = np.cos(angle), np.sin(angle)
    rows = [[scale * c * flip, -scale * s * aspect, centre[:, 0]]]
    rows += [[scale * s * flip, scale * c * aspect, centre[:, 1]]]
    return torch.from_numpy(np.array(rows, np.float32).transpose(2, 0, 1))


def _recoloured(rng: np.random.Generator, views: Tensor) -> Tensor:
    """Grey (15 %), negative (8 %), tint, gamma, contrast, brightness; result in 0..1."""
    n = len(views)
    grey, negative = _share(rng, n, 0.15), _share(rng, n, 0.08)
    views = views.lerp(views.mean(1, keepdim=True).expand_as(views), grey)
    views = views.lerp(1 - views, negative)
    views = views.clamp(1e-4, 1) ** _column(np.exp(rng.normal(0, 0.25, n)))
    tint = np.where(rng.random((n, 1)) < 0.3, rng.normal(0, 0.12, (n, 3)), 0)
    gain = torch.from_numpy((np.exp(rng.normal(0, 0.2, (n, 1))) + tint).astype(np.float32))
    shift = _column(rng.normal(0, 0.06, n))
    return ((views - 0.5) * gain.view(n, 3, 1, 1) + 0.5 + shift).clamp(0, 1)


def _share(rng: np.random.Generator, n: int, share: float) -> Tensor:
    return _column((rng.random(n) < share).astype(np.float32))


def _column(values: npt.NDArray[np.floating]) -> Tensor:
    return torch.from_numpy(values.astype(np.float32)).view(-1, 1, 1, 1)
