"""Upsample a small map along the edges of its image.

A guided filter (He, Sun and Tang, "Guided image filtering", TPAMI 2013; its fast form, He and Sun,
arXiv 1505.00996): in every small window the map is fitted by a linear function of the image's
colours, at the map's size; the coefficients are upsampled and applied to the image at full size.
Where the image has an edge, the upsampled map has one too.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from flawmap.methods.modules.blocks import upsample
from flawmap.methods.modules.readout import Smoothing

_GRID = 4  # cell side in pixels; maps of other sizes are resized to it first
_WINDOW = 0.7  # standard deviation of the Gaussian window, in cells


class GuidedUpsampling(nn.Module):
    """Upsample map (B, 1, h, w) with image (B, 3, H, W) in 0..1 to (B, 1, H, W), same range.

    ``variance``: colours in 0..1 with less variance than this in a window do not make an edge.
    """

    def __init__(self, variance: float) -> None:
        super().__init__()
        self.variance = variance
        self.window = Smoothing(_WINDOW)

    def forward(self, small: Tensor, image: Tensor) -> Tensor:
        """Map (B, 1, h, w) and (B, 3, H, W) to (B, 1, H, W)."""
        height, width = image.shape[-2:]
        cells = (math.ceil(height / _GRID), math.ceil(width / _GRID))
        small = _at_size(small, cells)
        # Subtracting the mean colour keeps the precision of the windows' second moments.
        guide = image - image.mean((2, 3), keepdim=True)
        colours = _at_size(guide, cells)
        slopes, offset = self._lines(small, colours)
        lines = upsample(torch.cat([slopes, offset], 1), (height, width))
        large = (lines[:, :3] * guide).sum(1, keepdim=True) + lines[:, 3:]
        low, high = small.amin((2, 3), keepdim=True), small.amax((2, 3), keepdim=True)
        return torch.minimum(torch.maximum(large, low), high)

    def _lines(self, small: Tensor, colours: Tensor) -> tuple[Tensor, Tensor]:
        """Fit least squares per window, averaged over windows: (B, 3, h, w), (B, 1, h, w)."""
        moments = self._mean(torch.cat([colours, small, colours * small, _products(colours)], 1))
        mean, mean_small, joint, second = torch.split(moments, [3, 1, 3, 6], 1)
        slopes = _solve(second - _products(mean), self.variance, joint - mean * mean_small)
        offset = mean_small - (slopes * mean).sum(1, keepdim=True)
        smooth = self._mean(torch.cat([slopes, offset], 1))
        return smooth[:, :3], smooth[:, 3:]

    def _mean(self, x: Tensor) -> Tensor:
        """Return every channel's weighted mean in the window around every cell."""
        channels, height, width = x.shape[1:]
        flat = x.reshape(-1, 1, height, width)
        blurred: Tensor = self.window(flat)
        return blurred.reshape(-1, channels, height, width)


def _at_size(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize to ``size``: average finer positions, after upsampling to a multiple; or upsample."""
    times = max(1, math.ceil(x.shape[-2] / size[0]))
    multiple = (times * size[0], times * size[1])
    if (x.shape[-2], x.shape[-1]) != multiple:
        x = upsample(x, multiple)
    return F.avg_pool2d(x, times) if times > 1 else x


def _products(colours: Tensor) -> Tensor:
    """Return channel products 11, 22, 33, 12, 13, 23 of (B, 3, h, w), as (B, 6, h, w)."""
    r, g, b = colours.unbind(1)
    return torch.stack([r * r, g * g, b * b, r * g, r * b, g * b], 1)


def _solve(spread: Tensor, ridge: float, right: Tensor) -> Tensor:
    """Solve ``(S + ridge·1) x = right`` per cell by elimination; right and x are (B, 3, h, w).

    ``spread`` (B, 6, h, w): S's entries in the order of :func:`_products`.
    """
    a, b, c = (spread[:, :3] + ridge).unbind(1)
    d, e, f = spread[:, 3:].unbind(1)
    x, y, z = right.unbind(1)
    first, second = d / a, e / a
    b, f, y = b - first * d, f - first * e, y - first * x
    c, z = c - second * e, z - second * x
    third = f / b
    z = (z - third * y) / (c - third * f)
    y = (y - f * z) / b
    x = (x - d * y - e * z) / a
    return torch.stack([x, y, z], 1)
