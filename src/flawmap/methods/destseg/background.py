"""Subtract the background of a map, which does not help to localise a defect."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_SHARE = 0.25  # of the image: the level is the value that this share of it reaches
_MEDIANS = 3.0  # maximum level, in medians: large defects are high on a part of the image
_NEAR = 0.5  # of the shorter side: side of the neighbourhood averaged around a place
_NEAR_MOST = 0.5  # of ``most``: maximum subtracted for the surroundings
_KEPT = 0.05  # of the original map, so that subtracted values keep their order


class BackgroundOffset(nn.Module):
    """Level a map (B, 1, h, w) in 0..1: lower it where it is no higher than elsewhere.

    A good surface that is new, or lit differently, is slightly anomalous everywhere. So the value
    that a quarter of the image exceeds becomes the new zero, and then the mean of a place's
    surroundings; 1 stays 1. Both are at most three times the median, which a defect on less than
    half of the image does not raise. The first is at most ``most`` and the second half of that, so
    that an image that is anomalous everywhere remains so.
    """

    def __init__(self, most: float) -> None:
        super().__init__()
        self.most = most

    def forward(self, anomaly: Tensor) -> Tensor:
        """Map (B, 1, h, w) in 0..1 to the same shape and range."""
        values = anomaly.flatten(1)
        usual = _MEDIANS * _exceeded_by(values, 0.5)
        level = torch.minimum(_exceeded_by(values, _SHARE), usual).clamp(max=self.most)
        above = _above(anomaly, level)
        near = torch.minimum(_surroundings(above), usual.clamp(max=_NEAR_MOST * self.most))
        return torch.lerp(_above(above, near), anomaly, _KEPT)


def _exceeded_by(values: Tensor, share: float) -> Tensor:
    """Return the value (B, 1, 1, 1) that a share of (B, N) reaches (quantile has no ONNX form)."""
    count = max(1, int(share * values.shape[1]))
    return values.topk(count, sorted=False).values.amin(1)[:, None, None, None]


def _above(anomaly: Tensor, level: Tensor) -> Tensor:
    return torch.relu(anomaly - level) / (1.0 - level)


def _surroundings(anomaly: Tensor) -> Tensor:
    """Average the neighbourhood of each place, as far as it lies inside the map."""
    reach = int(_NEAR * min(anomaly.shape[-2:]) / 2)
    side = 2 * reach + 1
    down = F.avg_pool2d(anomaly, (side, 1), 1, (reach, 0), count_include_pad=False)
    return F.avg_pool2d(down, (1, side), 1, (0, reach), count_include_pad=False)
