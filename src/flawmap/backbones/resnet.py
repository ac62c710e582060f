"""The frozen teacher: stem and stages 1-3 of a ResNet (He et al., CVPR 2016), batch norm folded.

Modules use torchvision's names (``layer2.0.downsample.0``), so a folded state dict in that layout
loads directly. Blocks are basic (ResNet-18) or bottlenecks (wide ResNet-50-2: Zagoruyko &
Komodakis, BMVC 2016); narrower widths give the project's own ``pocket`` teacher.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Features = tuple[Tensor, Tensor, Tensor]
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class ImageNorm(nn.Module):
    """Normalise (B, 3, H, W) in 0..1 by ImageNet's mean and deviation, as every teacher expects."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name, values in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD)):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        return (image - self.mean) / self.std


class ImageConv(nn.Conv2d):
    """A convolution that reads only the output of :class:`ImageNorm`.

    The export finds it by type and folds the deviation into its weights.
    """


@dataclass(frozen=True)
class Architecture:
    """Parameters that distinguish one ResNet from another; the default is ResNet-18."""

    widths: tuple[int, int, int] = (64, 128, 256)
    """Output channels of stages 1-3."""
    inner: tuple[int, int, int] | None = None
    """Channels inside the bottlenecks; None for basic blocks."""
    blocks: tuple[int, int, int] = (2, 2, 2)
    stem: int = 64


def basic(widths: tuple[int, int, int]) -> Architecture:
    """Return ResNet-18's structure with these widths."""
    return Architecture(widths, stem=widths[0])


RESNET18 = Architecture()
WIDE_RESNET50_2 = Architecture((256, 512, 1024), (128, 256, 512), (3, 4, 6))


class FoldedBlock(nn.Module):
    """ResNet's basic block for inference, with each norm folded into its convolution."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1)
        self.downsample = _projection(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.conv1(x), inplace=True)
        return F.relu(self.conv2(x) + identity, inplace=True)


class FoldedBottleneck(nn.Module):
    """ResNet's bottleneck for inference; the 3x3 convolution is strided, as in torchvision."""

    def __init__(self, inputs: int, inner: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, inner, 1)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, 1)
        self.conv3 = nn.Conv2d(inner, outputs, 1)
        self.downsample = _projection(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.conv1(x), inplace=True)
        x = F.relu(self.conv2(x), inplace=True)
        return F.relu(self.conv3(x) + identity, inplace=True)


def _projection(inputs: int, outputs: int, stride: int) -> nn.Sequential | None:
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride))


class ResNetTeacher(nn.Module):
    """Frozen feature extractor, always in evaluation mode.

    Maps a normalised image (B, 3, H, W) to the outputs of stages 1-3 after their last ReLU:
    (B, w1, H/4, W/4), (B, w2, H/8, W/8), (B, w3, H/16, W/16).
    """

    def __init__(self, architecture: Architecture = RESNET18) -> None:
        super().__init__()
        self.architecture = architecture
        self.widths = architecture.widths
        self.conv1 = ImageConv(3, architecture.stem, 7, 2, 3)
        self.layer1, self.layer2, self.layer3 = (
            stage(architecture, number, FoldedBlock, FoldedBottleneck) for number in (1, 2, 3)
        )
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> ResNetTeacher:
        """Stay in evaluation mode: the teacher never learns."""
        del mode
        return super().train(False)

    def stem(self, x: Tensor) -> Tensor:
        """Return the output of the stem's ReLU, (B, stem, H/2, W/2)."""
        return F.relu(self.conv1(x), inplace=True)

    def stages(self, stem: Tensor) -> Features:
        """Compute the outputs of stages 1-3 from the stem's output (B, stem, H/2, W/2)."""
        first = self.layer1(F.max_pool2d(stem, 3, 2, 1))
        second = self.layer2(first)
        return first, second, self.layer3(second)

    def forward(self, x: Tensor) -> Features:
        return self.stages(self.stem(x))


def stage(
    architecture: Architecture,
    number: int,
    block: Callable[[int, int, int], nn.Module],
    bottleneck: Callable[[int, int, int, int], nn.Module],
) -> nn.Sequential:
    """Build stage 1, 2 or 3; all but the first stage halve the size.

    ``block`` takes (inputs, outputs, stride), ``bottleneck`` (inputs, inner, outputs, stride).
    """
    index = number - 1
    outputs = architecture.widths[index]
    before = architecture.stem if index == 0 else architecture.widths[index - 1]
    steps = [(before, 1 if index == 0 else 2)] + [(outputs, 1)] * (architecture.blocks[index] - 1)
    if architecture.inner is None:
        return nn.Sequential(*(block(inputs, outputs, stride) for inputs, stride in steps))
    inner = architecture.inner[index]
    return nn.Sequential(*(bottleneck(inputs, inner, outputs, stride) for inputs, stride in steps))
