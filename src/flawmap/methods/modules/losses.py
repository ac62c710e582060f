"""Losses shared by the methods."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

_KEPT = 0.5  # of the highest cover nearby: less is the edge of something small
_USUAL = 0.02  # of the map: about the cover of a synthetic defect
_MOST_WEIGHT = 20.0
_TOP_SHARE = 0.0025  # of the map: what a defective image without a mask shows at least


def focal_loss(logits: Tensor, mask: Tensor, gamma: float, marked: Tensor | None = None) -> Tensor:
    """Average ``-(1-p)^γ log p`` over batch and pixels, p the probability of the true class.

    ``marked``: see :func:`mean_of_marked`.
    """
    signed = torch.where(mask > 0.5, logits, -logits)
    losses = (-signed).sigmoid().pow(gamma) * F.softplus(-signed)
    return mean_of_marked(losses if marked is None else losses * small_weights(mask), marked)


def small_weights(mask: Tensor) -> Tensor:
    """Return the weight of each place of masks (B, 1, h, w) {0, 1}: more inside small defects.

    In a mean over places a dot would count a thousandth of a stain. Places of a mask that covers
    less than ``_USUAL`` of the map weigh more by the same factor, at most ``_MOST_WEIGHT``.
    """
    share = mask.mean((1, 2, 3), keepdim=True).clamp(min=1e-8)
    weight = (_USUAL / share).clamp(1.0, _MOST_WEIGHT)
    return torch.where(mask > 0.5, weight, torch.ones_like(weight))


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


def shrink_mask(mask: Tensor, size: tuple[int, int], *, keep_small: bool = False) -> Tensor:
    """Resize a mask (B, 1, H, W) to a network's output size: bilinear, then >= 0.5 is 1.

    ``keep_small``: what would vanish, as it is smaller or thinner than a place of the output, keeps
    the places that it covers most; else real dots and hairs would be taught as good.
    """
    if (mask.shape[-2], mask.shape[-1]) == size:
        return mask
    small = F.interpolate(mask, size=size, mode="bilinear", align_corners=False) >= 0.5
    if keep_small:
        cover = F.adaptive_avg_pool2d(mask, size)
        alone = F.max_pool2d(small.to(mask.dtype), 3, 1, 1) == 0
        most = F.max_pool2d(cover, 3, 1, 1)
        small = small | (alone & (cover > 0) & (cover >= _KEPT * most))
    return small.to(mask.dtype)
