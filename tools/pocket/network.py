"""The pocket network in training: unfolded batch norms, and lifts to the large teacher.

Modules are named as in ``flawmap.backbones.resnet.ResNetTeacher``: folded weights load there.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WIDTHS = (32, 64, 128)
TEACHER_WIDTHS = (64, 128, 256)


class Block(nn.Module):
    """ResNet's basic block (He et al., CVPR 2016)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(x)) + identity)


class PocketNet(nn.Module):
    """Stem and stages 1-3; (B, 3, H, W) to (B, 32, H/4, W/4), (B, 64, …/8), (B, 128, …/16)."""

    def __init__(self, widths: tuple[int, int, int] = WIDTHS) -> None:
        super().__init__()
        w1, w2, w3 = widths
        self.conv1 = nn.Conv2d(3, w1, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(w1)
        self.layer1 = nn.Sequential(Block(w1, w1, 1), Block(w1, w1, 1))
        self.layer2 = nn.Sequential(Block(w1, w2, 2), Block(w2, w2, 1))
        self.layer3 = nn.Sequential(Block(w2, w3, 2), Block(w3, w3, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        first = self.layer1(x)
        second = self.layer2(first)
        return first, second, self.layer3(second)


class Lifts(nn.ModuleList):
    """1x1 projections of the pocket stages to the large teacher's widths, used in training only.

    They give the teacher's features in units of each channel's mean and deviation (the buffers).
    """

    def __init__(self) -> None:
        pairs = zip(WIDTHS, TEACHER_WIDTHS, strict=True)
        super().__init__(nn.Conv2d(pocket, teacher, 1) for pocket, teacher in pairs)
        for stage, width in enumerate(TEACHER_WIDTHS):
            self.register_buffer(f"mean{stage}", torch.zeros(1, width, 1, 1))
            self.register_buffer(f"deviation{stage}", torch.ones(1, width, 1, 1))

    def standardise(self, stage: int, feature: Tensor) -> Tensor:
        return (feature - self.get_buffer(f"mean{stage}")) / self.get_buffer(f"deviation{stage}")

    def restore(self, stage: int, lifted: Tensor) -> Tensor:
        return lifted * self.get_buffer(f"deviation{stage}") + self.get_buffer(f"mean{stage}")
