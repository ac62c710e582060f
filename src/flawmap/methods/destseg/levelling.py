"""Taking off a map what tells nothing of where a defect is."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_SHARE = 0.25  # of the image: what is as high as this on more of it is its level
_MEDIANS = 3.0  # the level at most, in medians: large defects are high on a part of the image
_NEAR = 0.5  # of the shorter side: the window whose mean is a place's surroundings
_NEAR_MOST = 0.5  # of ``most``, which is taken off for the surroundings
_KEPT = 0.05  # of the map as it was, so that what is taken off keeps its order


class Levelling(nn.Module):
    """Map (B, 1, h, w) in 0..1 -> the same in 0..1, low where it is no higher than all over.

    A surface that is good but new, or lit in another way, is a little anomalous all over. So what
    a quarter of the image exceeds becomes the new zero, and then what a place's surroundings have
    in the mean; 1 stays 1. Either is at most three times the median, which a defect on less than
    half of the image does not raise. The first is ``most`` at most and the second half of that, so
    that an image that is anomalous all over remains so.
    """

    def __init__(self, most: float) -> None:
        super().__init__()
        self.most = most

    def forward(self, anomaly: Tensor) -> Tensor:
        values = anomaly.flatten(1)
        usual = _MEDIANS * _exceeded_by(values, 0.5)
        level = torch.minimum(_exceeded_by(values, _SHARE), usual).clamp(max=self.most)
        above = _above(anomaly, level)
        near = torch.minimum(_surroundings(above), usual.clamp(max=_NEAR_MOST * self.most))
        return torch.lerp(_above(above, near), anomaly, _KEPT)


def _exceeded_by(values: Tensor, share: float) -> Tensor:
    """What a share of the values (B, N) reach, (B, 1, 1, 1). torch's quantile has no ONNX form."""
    count = max(1, int(share * values.shape[1]))
    return values.topk(count, sorted=False).values.amin(1)[:, None, None, None]


def _above(anomaly: Tensor, level: Tensor) -> Tensor:
    return torch.relu(anomaly - level) / (1.0 - level)


def _surroundings(anomaly: Tensor) -> Tensor:
    """Mean of the window around each place, as far as it lies in the map."""
    reach = int(_NEAR * min(anomaly.shape[-2:]) / 2)
    side = 2 * reach + 1
    down = F.avg_pool2d(anomaly, (side, 1), 1, (reach, 0), count_include_pad=False)
    return F.avg_pool2d(down, (1, side), 1, (0, reach), count_include_pad=False)
