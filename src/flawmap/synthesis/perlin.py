"""Perlin noise for a whole batch at once, as matrix products.

Along one axis a pixel uses two lattice lines only. With ``A`` the faded weights of those lines
(H, R+1) and ``D`` the weights times the pixel's offset from each line, gradient noise on a grid is
``A·Gx·Dxᵀ + Dy·Gy·Aᵀ``: two small products per image, and no gathers.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

_SQRT2 = 2.0**0.5


def _axis_weights(pixels: int, cells: Tensor, lines: int) -> tuple[Tensor, Tensor]:
    """Return faded weights and weighted offsets (B, pixels, lines) on an axis of ``cells`` (B,)."""
    place = torch.arange(pixels, device=cells.device) / pixels  # (P,)
    place = place[None, :] * cells[:, None]  # (B, P) in lattice units
    line = torch.arange(lines, device=cells.device)
    offset = place[:, :, None] - line  # (B, P, L)
    t = (1.0 - offset.abs()).clamp(min=0.0)  # 1 on the line, 0 one cell away
    weight = t * t * t * (t * (t * 6.0 - 15.0) + 10.0)  # quintic fade 6t⁵-15t⁴+10t³
    return weight, weight * offset


def perlin_noise(size: tuple[int, int], cells: Tensor, angles: Tensor) -> Tensor:
    """Return gradient noise times √2, one field per image.

    ``cells`` (B, 2): lattice cells down and across; ``angles`` (B, L, L) in radians: the unit
    gradients on the lattice lines, L > max(cells). Returns (B, H, W) float32.
    """
    lines = angles.shape[-1]
    down, down_offset = _axis_weights(size[0], cells[:, 0], lines)
    across, across_offset = _axis_weights(size[1], cells[:, 1], lines)
    gx, gy = angles.cos(), angles.sin()
    along_x = down @ gx @ across_offset.transpose(1, 2)
    along_y = down_offset @ gy @ across.transpose(1, 2)
    return (along_x + along_y) * _SQRT2


def rotate_each(
    fields: Tensor, degrees: Tensor, *, mode: str = "bilinear", padding: str = "zeros"
) -> Tensor:
    """Rotate each of (B, C, H, W) by its own angle about the centre, keeping the image size.

    ``degrees`` (B,): counter-clockwise, like Pillow and ``rot90``.
    """
    height, width = fields.shape[-2:]
    radians = torch.deg2rad(degrees)[:, None, None]
    cos, sin = radians.cos(), radians.sin()
    x = _centres(width, degrees.device)  # (W,)
    y = _centres(height, degrees.device)[:, None]  # (H, 1)
    # torch's affine_grid uses a matrix product here, at several times the cost
    across = cos * x - sin * (height / width) * y
    down = sin * (width / height) * x + cos * y
    grid = torch.stack([across, down], -1)
    return F.grid_sample(fields, grid, mode=mode, padding_mode=padding, align_corners=False)


def _centres(pixels: int, device: torch.device) -> Tensor:
    """Return pixel centres; -1 and 1 are the edges of the outermost pixels."""
    return (2 * torch.arange(pixels, device=device) + 1) / pixels - 1
