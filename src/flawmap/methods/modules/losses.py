"""Losses shared by the methods."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def focal_loss(logits: Tensor, mask: Tensor, gamma: float) -> Tensor:
    """Average ``-(1-p)^γ log p`` over batch and pixels, p the probability of the true class."""
    signed = torch.where(mask > 0.5, logits, -logits)
    return ((-signed).sigmoid().pow(gamma) * F.softplus(-signed)).mean()


def shrink_mask(mask: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize a mask (B, 1, H, W) to a network's output size: bilinear, then >= 0.5 is 1."""
    if (mask.shape[-2], mask.shape[-1]) == size:
        return mask
    small = F.interpolate(mask, size=size, mode="bilinear", align_corners=False)
    return (small >= 0.5).to(mask.dtype)
