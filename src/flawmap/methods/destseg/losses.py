"""DeSTSeg's losses (arXiv 2211.11317, sections 3.2 and 3.3)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from flawmap.backbones.resnet import Features
from flawmap.methods.modules.features import cosine_distances
from flawmap.methods.modules.losses import focal_loss

_LEAST = 1e-4  # distance that a position of none is weighed by


def cosine_loss(
    teacher: Features, student: Features, reduction: str, hardness: float = 0.0
) -> Tensor:
    """Sum over levels of the mean of ``D_k`` over positions.

    Over the batch it is summed with ``reduction="sum"`` (the released behaviour, on which the
    learning rate of 0.4 rests) and averaged with ``"mean"``. Positions weigh as their distance
    to the power of ``hardness``, in a level's mean over all positions 1: plain background, which
    is soon learnt, leaves the word to the part.
    """
    levels = cosine_distances(teacher, student)
    if hardness:
        levels = [_weights(d.detach(), hardness) * d for d in levels]
    total = torch.stack([d.mean((1, 2)) for d in levels]).sum(0)
    return total.sum() if reduction == "sum" else total.mean()


def _weights(distance: Tensor, hardness: float) -> Tensor:
    raised = (distance.clamp(min=0.0) + _LEAST).pow(hardness)
    return raised / raised.mean()


def segmentation_loss(logits: Tensor, mask: Tensor, gamma: float, l1_weight: float) -> Tensor:
    """Focal loss plus the weighted L1 distance between probability and mask."""
    return focal_loss(logits, mask, gamma) + l1_weight * F.l1_loss(logits.sigmoid(), mask)
