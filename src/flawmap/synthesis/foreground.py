"""Foreground of a good image: what differs from the image's border, or has detail.

Without it most anomalies fall beside a small part, where they are detected without learning
anything about the part. A texture that fills the image is foreground everywhere.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

_CELL = 4  # cell side in pixels
_SMOOTH = 5  # cells
_LIMIT = 0.2  # share of the image's highest cell value


def foreground(clean: Tensor) -> Tensor:
    """Return bool (B, 1, H, W): True on the part and a narrow rim around it.

    ``clean`` (B, 3, H, W) in 0..1.
    """
    cells = F.avg_pool2d(clean, _CELL)
    rim = [cells[..., 0, :], cells[..., -1, :], cells[..., :, 0], cells[..., :, -1]]
    colour = torch.cat(rim, -1).median(-1).values[..., None, None]  # (B, 3, 1, 1)
    difference = (cells - colour).abs().mean(1, keepdim=True)
    interest = _share_of_most(difference).maximum(_share_of_most(_detail(cells)))
    near = F.max_pool2d(interest, 3, 1, 1) > _LIMIT
    return F.interpolate(near.float(), size=clean.shape[-2:]) > 0.5


def _detail(cells: Tensor) -> Tensor:
    """Return the sum of absolute grey steps to the right and down, (B, 1, h, w)."""
    grey = cells.mean(1, keepdim=True)
    across = F.pad((grey[..., 1:] - grey[..., :-1]).abs(), (0, 1))
    down = F.pad((grey[..., 1:, :] - grey[..., :-1, :]).abs(), (0, 0, 0, 1))
    return across + down


def _share_of_most(values: Tensor) -> Tensor:
    smooth = F.avg_pool2d(values, _SMOOTH, 1, _SMOOTH // 2)
    return smooth / smooth.amax((2, 3), keepdim=True).clamp(min=1e-6)
