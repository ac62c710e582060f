"""Smoothing of the anomaly map, and the image score."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Smoothing(nn.Module):
    """Gaussian blur of a one-channel map, truncated at three deviations, edges replicated."""

    kernel: Tensor

    def __init__(self, sigma: float) -> None:
        super().__init__()
        self.radius = math.ceil(3.0 * sigma)
        line = torch.arange(-self.radius, self.radius + 1) / sigma
        weights = torch.exp(-0.5 * line**2)
        self.register_buffer("kernel", weights / weights.sum(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Blur (B, 1, H, W); the size stays."""
        padded = F.pad(x, [self.radius] * 4, mode="replicate")
        kernel = self.kernel.to(x.dtype)
        down = F.conv2d(padded, kernel[None, None, :, None])
        return F.conv2d(down, kernel[None, None, None, :])


def smoothing(sigma: float) -> nn.Module:
    """Build :class:`Smoothing`, or an identity if ``sigma`` is 0."""
    return Smoothing(sigma) if sigma else nn.Identity()


def topk_mean(x: Tensor, count: int) -> Tensor:
    """Return the mean (B,) of the ``count`` highest values of each sample."""
    values = x.flatten(1)
    if count == 1:
        return values.amax(1)
    count = min(count, values.shape[1])
    return values.topk(count, sorted=False).values.mean(1)
