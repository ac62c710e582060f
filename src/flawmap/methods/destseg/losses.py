"""DeSTSeg's losses (arXiv 2211.11317, sections 3.2 and 3.3)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from flawmap.backbones.features import Features
from flawmap.methods.modules.features import cosine_distances
from flawmap.methods.modules.losses import (
    focal_loss,
    mean_of_marked,
    small_weights,
    somewhere_loss,
)
from flawmap.methods.modules.parallel import batch_mean, batch_sum

_LEAST = 1e-4  # distance used to weight a position of distance 0


def cosine_loss(
    teacher: Features, student: Features, reduction: str, hardness: float = 0.0
) -> Tensor:
    """Sum the mean of ``D_k`` over positions, over all levels.

    The batch is summed with ``reduction="sum"`` (the released behaviour, which the learning rate
    of 0.4 assumes) and averaged with ``"mean"``. A position's weight is its distance to the power
    of ``hardness``, with mean 1 over all positions of a level: plain background, which is soon
    learnt, then counts less than the part.
    """
    levels = cosine_distances(teacher, student)
    if hardness:
        levels = [_weights(d.detach(), hardness) * d for d in levels]
    total = torch.stack([d.mean((1, 2)) for d in levels]).sum(0)
    return batch_sum(total) if reduction == "sum" else total.mean()


def _weights(distance: Tensor, hardness: float) -> Tensor:
    raised = (distance.clamp(min=0.0) + _LEAST).pow(hardness)
    return raised / batch_mean(raised)


def segmentation_loss(
    logits: Tensor, mask: Tensor, gamma: float, l1_weight: float, marked: Tensor | None = None
) -> Tensor:
    """Return focal loss plus the weighted L1 distance between probability and mask.

    Samples whose ``marked`` (B,) is 0 have no mask: their highest places count instead.
    """
    focal = focal_loss(logits, mask, gamma, marked) + somewhere_loss(logits, marked)
    difference = F.l1_loss(logits.sigmoid(), mask, reduction="none")
    if marked is not None:
        difference = difference * small_weights(mask)
    return focal + l1_weight * mean_of_marked(difference, marked)
