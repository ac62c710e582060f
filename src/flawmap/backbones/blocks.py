"""ResNet's residual blocks (He et al., CVPR 2016), with batch norm or with norms folded.

Modules use torchvision's names (``downsample.0``), so its state dicts fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F


def norm(channels: int, folded: bool) -> nn.Module:
    """Build a batch norm, or an identity if it is folded into the convolution before it."""
    return nn.Identity() if folded else nn.BatchNorm2d(channels)


class BasicBlock(nn.Module):
    """ResNet's basic block: two 3x3 convolutions and a short cut.

    The short cut has a 1x1 projection if the shape changes. ``folded``: for inference, without
    norms, but with biases.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1, *, folded: bool = False) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=folded)
        self.bn1 = norm(outputs, folded)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=folded)
        self.bn2 = norm(outputs, folded)
        self.downsample = _projection(inputs, outputs, stride, folded)

    @property
    def last_norm(self) -> nn.Module:
        """The norm before the sum."""
        return self.bn2

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H/stride, W/stride), after the last ReLU."""
        identity = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        return F.relu(self.bn2(self.conv2(x)) + identity, inplace=True)


class Bottleneck(nn.Module):
    """ResNet's bottleneck: 1x1 to ``inner`` channels, 3x3 with the stride, 1x1 to ``outputs``.

    The 3x3 convolution is strided, as in torchvision. ``folded``: as in :class:`BasicBlock`.
    """

    def __init__(
        self, inputs: int, inner: int, outputs: int, stride: int = 1, *, folded: bool = False
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, inner, 1, bias=folded)
        self.bn1 = norm(inner, folded)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, 1, bias=folded)
        self.bn2 = norm(inner, folded)
        self.conv3 = nn.Conv2d(inner, outputs, 1, bias=folded)
        self.bn3 = norm(outputs, folded)
        self.downsample = _projection(inputs, outputs, stride, folded)

    @property
    def last_norm(self) -> nn.Module:
        """The norm before the sum."""
        return self.bn3

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H/stride, W/stride), after the last ReLU."""
        identity = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        x = F.relu(self.bn2(self.conv2(x)), inplace=True)
        return F.relu(self.bn3(self.conv3(x)) + identity, inplace=True)


def _projection(inputs: int, outputs: int, stride: int, folded: bool) -> nn.Sequential | None:
    if stride == 1 and inputs == outputs:
        return None
    conv = nn.Conv2d(inputs, outputs, 1, stride, bias=folded)
    return nn.Sequential(conv) if folded else nn.Sequential(conv, nn.BatchNorm2d(outputs))


def basic_blocks(inputs: int, outputs: int, strides: Sequence[int]) -> nn.Sequential:
    """Build one basic block per stride, the first of which widens."""
    before = [inputs, *[outputs] * (len(strides) - 1)]
    return nn.Sequential(*(BasicBlock(i, outputs, s) for i, s in zip(before, strides, strict=True)))


def two_blocks(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """Build a ResNet-18 stage: two basic blocks, the first of which may downsample and widen."""
    return basic_blocks(inputs, outputs, (stride, 1))


def init_kaiming(module: nn.Module, *, zero_last_norm: bool = False) -> None:
    """Initialise convolutions Kaiming-normal (fan-out) and norms to unit, like timm's ResNet.

    ``zero_last_norm``: the last norm of every residual block starts at 0, so that each block
    starts as its short cut.
    """
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(part, nn.BatchNorm2d):
            nn.init.ones_(part.weight)
            nn.init.zeros_(part.bias)
    if zero_last_norm:  # after the loop, which visits a block's norms later than the block
        for part in module.modules():
            if isinstance(part, (BasicBlock, Bottleneck)):
                nn.init.zeros_(cast(nn.BatchNorm2d, part.last_norm).weight)
