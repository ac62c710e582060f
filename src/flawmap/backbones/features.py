"""Feature levels, and the normalised image that they are computed from."""

from __future__ import annotations

import torch
from torch import Tensor, nn

Features = tuple[Tensor, ...]
"""Levels (B, c_k, H/s_k, W/s_k), finest first."""
Triple = tuple[float, float, float]

IMAGENET_MEAN: Triple = (0.485, 0.456, 0.406)
IMAGENET_STD: Triple = (0.229, 0.224, 0.225)


class ImageNorm(nn.Module):
    """Normalise an image (B, 3, H, W) in 0..1 by a backbone's mean and standard deviation."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Triple, std: Triple) -> None:
        super().__init__()
        for name, values in (("mean", mean), ("std", std)):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Map (B, 3, H, W) in 0..1 to (B, 3, H, W) of about zero mean and unit variance."""
        return (image - self.mean) / self.std


class ImageConv(nn.Conv2d):
    """A convolution that reads only the output of :class:`ImageNorm`.

    The export finds it by type and folds the deviation into its weights.
    """
