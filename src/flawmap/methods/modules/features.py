"""Compare two networks' features, position by position.

Every sum and difference here is float32, whatever the features' type: in bf16 a cosine near 1 has
two digits, and the distances of a whole map take some ten values. An exported graph has no casts,
as its features are float32 already.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from flawmap.methods.modules.blocks import upsample

_EPSILON = 1e-12


def normalise(x: Tensor) -> Tensor:
    """Normalise to unit length over channels at every position, in float32; 0 stays 0.

    DeSTSeg's ``x / (‖x‖ + 1e-12)``, as a clamp: torch's ONNX exporter drops so small an addend.
    """
    x = x.float()
    unit: Tensor = x / torch.linalg.vector_norm(x, dim=1, keepdim=True).clamp(min=_EPSILON)
    return unit


def cosine(teacher: Tensor, student: Tensor) -> Tensor:
    """Cosine of two feature maps (B, C, H, W) over channels: (B, H, W) in -1..1, float32."""
    return (normalise(teacher) * normalise(student)).sum(1)


def cosine_distances(teacher: Sequence[Tensor], student: Sequence[Tensor]) -> list[Tensor]:
    """Return ``1 - cosine`` at every position of every level: (B, H_k, W_k) each."""
    return [1.0 - cosine(t, s) for t, s in zip(teacher, student, strict=True)]


def distance_maps(teacher: Sequence[Tensor], student: Sequence[Tensor]) -> Tensor:
    """Return cosine distances at the finest level's size, (B, levels, H_1, W_1) in 0..1."""
    levels = [level[:, None] for level in cosine_distances(teacher, student)]
    size = (levels[0].shape[-2], levels[0].shape[-1])
    return torch.cat([upsample(level, size) for level in levels], 1).clamp(min=0.0, max=1.0)
