"""A trainable ResNet encoder: a student with the teacher's architecture."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from flawmap.backbones.resnet import Architecture, Features, ImageConv, stage
from flawmap.methods.modules.blocks import BasicBlock, Bottleneck, init_kaiming


class ResNetEncoder(nn.Module):
    """Stem and stages 1-3 of a ResNet, randomly initialised: strides 4, 8, 16.

    ``zero_last_norm``: blocks start as their short cuts, as in timm but not in torchvision.
    """

    def __init__(self, architecture: Architecture, *, zero_last_norm: bool) -> None:
        super().__init__()
        self.conv1 = ImageConv(3, architecture.stem, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(architecture.stem)
        self.layer1, self.layer2, self.layer3 = (
            stage(architecture, number, BasicBlock, Bottleneck) for number in (1, 2, 3)
        )
        init_kaiming(self, zero_last_norm=zero_last_norm)

    def stem(self, x: Tensor) -> Tensor:
        """Return the output of the stem's ReLU, (B, stem, H/2, W/2)."""
        return F.relu(self.bn1(self.conv1(x)), inplace=True)

    def stage1(self, stem: Tensor) -> Tensor:
        """Compute stage 1 from the stem's output, (B, w1, H/4, W/4)."""
        first: Tensor = self.layer1(F.max_pool2d(stem, 3, 2, 1))
        return first

    def later_stages(self, first: Tensor) -> tuple[Tensor, Tensor]:
        """Compute stages 2 and 3 from stage 1."""
        second = self.layer2(first)
        return second, self.layer3(second)

    def forward(self, x: Tensor) -> Features:
        first = self.stage1(self.stem(x))
        return first, *self.later_stages(first)
