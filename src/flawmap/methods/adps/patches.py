"""Cutting maps into patches that are seen one by one, and putting them back in place."""

from __future__ import annotations

from torch import Tensor


def split(x: Tensor, count: int) -> Tensor:
    """(B, C, H, W) -> (B·count², C, H/count, W/count): patches row by row, image by image."""
    if count == 1:
        return x
    channels, height, width = x.shape[1:]
    h, w = height // count, width // count
    x = x.reshape(-1, channels, count, h, count, w).permute(0, 2, 4, 1, 3, 5)
    return x.reshape(-1, channels, h, w)


def join(patches: Tensor, count: int) -> Tensor:
    """The inverse of :func:`split`, whatever became of channels and patch size."""
    if count == 1:
        return patches
    channels, h, w = patches.shape[1:]
    x = patches.reshape(-1, count, count, channels, h, w).permute(0, 3, 1, 4, 2, 5)
    return x.reshape(-1, channels, count * h, count * w)
