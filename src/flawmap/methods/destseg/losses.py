"""DeSTSeg's losses (arXiv 2211.11317, sections 3.2 and 3.3)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from flawmap.teachers.resnet import Features

_EPSILON = 1e-12
_LEAST = 1e-4  # distance that a position of none is weighed by


def normalise(x: Tensor) -> Tensor:
    """Unit length over channels at every position; 0 stays 0.

    The paper's ``x / (‖x‖ + 1e-12)``, as a clamp: torch's ONNX exporter drops so small an addend.
    """
    unit: Tensor = x / torch.linalg.vector_norm(x, dim=1, keepdim=True).clamp(min=_EPSILON)
    return unit


def cosine_distances(teacher: Features, student: Features) -> list[Tensor]:
    """``D_k = 1 - <T̂_k, Ŝ_k>`` at every position of every level: three (B, H_k, W_k)."""
    return [
        1.0 - (normalise(t.float()) * normalise(s.float())).sum(1)
        for t, s in zip(teacher, student, strict=True)
    ]


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


def focal_loss(logits: Tensor, mask: Tensor, gamma: float) -> Tensor:
    """Mean over batch and pixels of ``-(1-p)^γ log p``, p the probability of the true class."""
    signed = torch.where(mask > 0.5, logits, -logits)
    return ((-signed).sigmoid().pow(gamma) * F.softplus(-signed)).mean()


def segmentation_loss(logits: Tensor, mask: Tensor, gamma: float, l1_weight: float) -> Tensor:
    """Focal loss plus the weighted L1 distance between probability and mask."""
    return focal_loss(logits, mask, gamma) + l1_weight * F.l1_loss(logits.sigmoid(), mask)


def shrink_mask(mask: Tensor, size: tuple[int, int]) -> Tensor:
    """Mask (B, 1, H, W) at the network's output size: bilinear, then >= 0.5 counts as 1."""
    if (mask.shape[-2], mask.shape[-1]) == size:
        return mask
    small = F.interpolate(mask, size=size, mode="bilinear", align_corners=False)
    return (small >= 0.5).to(mask.dtype)
