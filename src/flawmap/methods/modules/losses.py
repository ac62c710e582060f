"""Losses shared by the methods."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

_TOP_SHARE = 0.0025  # of the map: what a defective image without a mask shows at least


def focal_loss(logits: Tensor, mask: Tensor, gamma: float, marked: Tensor | None = None) -> Tensor:
    """Average ``-(1-p)^γ log p`` over batch and pixels, p the probability of the true class.

    ``marked``: see :func:`mean_of_marked`.
    """
    signed = torch.where(mask > 0.5, logits, -logits)
    return mean_of_marked((-signed).sigmoid().pow(gamma) * F.softplus(-signed), marked)


def mean_of_marked(values: Tensor, marked: Tensor | None) -> Tensor:
    """Average (B, 1, h, w) over the batch, with 0 for samples whose ``marked`` (B,) is 0."""
    if marked is None:
        return values.mean()
    return (values.mean((1, 2, 3)) * marked).mean()


def somewhere_loss(logits: Tensor, marked: Tensor | None) -> Tensor:
    """Return ``-log p`` of the highest places of defective images without mask, over the batch.

    Of logits (B, 1, h, w) a quarter of a percent of the places, at least one, are pooled to their
    mean; samples whose ``marked`` (B,) is 1 add nothing.
    """
    if marked is None:
        return logits.new_zeros(())
    flat = logits.flatten(1)
    count = max(1, int(_TOP_SHARE * flat.shape[1]))
    highest = flat.topk(count, sorted=False).values.mean(1)
    return (F.softplus(-highest) * (1.0 - marked)).mean()


def shrink_mask(mask: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize a mask (B, 1, H, W) to a network's output size: bilinear, then >= 0.5 is 1."""
    if (mask.shape[-2], mask.shape[-1]) == size:
        return mask
    small = F.interpolate(mask, size=size, mode="bilinear", align_corners=False)
    return (small >= 0.5).to(mask.dtype)
