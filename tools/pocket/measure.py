"""Similarity of the pocket's lifted features and the ImageNet teacher's, on held-out images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from network import Lifts
from torch import Tensor
from torch.nn import functional as F
from views import Bank, normalised

from flawmap.backbones.resnet import ResNetTeacher
from flawmap.data.image_io.images import read_image


def read_folder(paths: Sequence[Path]) -> Bank:
    return np.stack([read_image(path) for path in paths])


@torch.inference_mode()
def stage_cosines(
    pocket: ResNetTeacher, lifts: Lifts, teacher: ResNetTeacher, images: Bank
) -> list[float]:
    """Return the mean cosine over all positions of all images, by stage; 1 means equal."""
    sums = torch.zeros(3, dtype=torch.float64)
    for start in range(0, len(images), 16):
        x = normalised(images[start : start + 16])
        pairs = zip(pocket(x), teacher(x), lifts, strict=True)
        for stage, (small, big, lift) in enumerate(pairs):
            sums[stage] += _cosine(lifts.restore(stage, lift(small)), big) * len(x)
    return [round(float(value) / len(images), 5) for value in sums]


@torch.inference_mode()
def mean_cosines(lifts: Lifts, teacher: ResNetTeacher, images: Bank) -> list[float]:
    """Return the mean cosine of the teacher's constant mean feature, by stage."""
    sums = torch.zeros(3, dtype=torch.float64)
    for start in range(0, len(images), 16):
        x = normalised(images[start : start + 16])
        for stage, big in enumerate(teacher(x)):
            sums[stage] += _cosine(lifts.get_buffer(f"mean{stage}").expand_as(big), big) * len(x)
    return [round(float(value) / len(images), 5) for value in sums]


def _cosine(a: Tensor, b: Tensor) -> float:
    return float(F.cosine_similarity(a, b, dim=1).mean())
