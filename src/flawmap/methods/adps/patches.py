"""Split maps into patches that are processed independently, and rejoin them."""

from __future__ import annotations

from torch import Tensor


def split(x: Tensor, count: int) -> Tensor:
    """Split (B, C, H, W) to (B·count², C, H/count, W/count), row by row, image by image."""
    if count == 1:
        return x
    channels, height, width = x.shape[1:]
    h, w = height // count, width // count
    x = x.reshape(-1, channels, count, h, count, w).permute(0, 2, 4, 1, 3, 5)
    return x.reshape(-1, channels, h, w)


def join(patches: Tensor, count: int) -> Tensor:
    """Invert :func:`split`, for any channels and patch size."""
    if count == 1:
        return patches
    channels, h, w = patches.shape[1:]
    x = patches.reshape(-1, count, count, channels, h, w).permute(0, 3, 1, 4, 2, 5)
    return x.reshape(-1, channels, count * h, count * w)
