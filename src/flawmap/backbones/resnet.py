"""Stem and stages 1-3 of a ResNet (He et al., CVPR 2016): as frozen backbone and as student.

Modules use torchvision's names (``layer2.0.downsample.0``), so a state dict in that layout loads
directly. Blocks are basic (ResNet-18) or bottlenecks (wide ResNet-50-2: Zagoruyko & Komodakis,
BMVC 2016); narrower widths give the project's own ``pocket`` backbone.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from flawmap.backbones.base import UNKNOWN_LICENCE, Backbone
from flawmap.backbones.blocks import BasicBlock, Bottleneck, init_kaiming, norm
from flawmap.backbones.features import IMAGENET_MEAN, IMAGENET_STD, Features, ImageConv
from flawmap.backbones.student import Student


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


class ResNet(Student):
    """Stem and stages 1-3 of a ResNet: levels at strides 4, 8 and 16, after their last ReLU.

    ``folded``: without norms, which are folded into the convolutions, for inference.
    """

    def __init__(self, architecture: Architecture, *, folded: bool) -> None:
        super().__init__()
        self.architecture = architecture
        self.conv1 = ImageConv(3, architecture.stem, 7, 2, 3, bias=folded)
        self.bn1 = norm(architecture.stem, folded)
        self.layer1, self.layer2, self.layer3 = (
            _stage(architecture, index, folded) for index in range(3)
        )

    def stem(self, x: Tensor) -> Tensor:
        """Map a normalised image (B, 3, H, W) to the stem's output (B, stem, H/2, W/2)."""
        return F.relu(self.bn1(self.conv1(x)), inplace=True)

    def first_level(self, stem: Tensor) -> Tensor:
        """Compute stage 1, (B, w1, H/4, W/4), from the stem's output (B, stem, H/2, W/2)."""
        first: Tensor = self.layer1(F.max_pool2d(stem, 3, 2, 1))
        return first

    def later_levels(self, first: Tensor) -> Features:
        """Compute stages 2 and 3 from stage 1: (B, w2, H/8, W/8), (B, w3, H/16, W/16)."""
        second = self.layer2(first)
        return second, self.layer3(second)


class ResNetStudent(ResNet):
    """A trainable ResNet with batch norm, randomly initialised.

    ``zero_last_norm``: blocks start as their short cuts, as in timm but not in torchvision.
    """

    def __init__(self, architecture: Architecture, *, zero_last_norm: bool) -> None:
        super().__init__(architecture, folded=False)
        init_kaiming(self, zero_last_norm=zero_last_norm)


class ResNetTeacher(ResNet, Backbone):
    """A frozen ResNet with its norms folded; its stem may serve as a level at stride 2."""

    strides = (4, 8, 16)
    mean, std = IMAGENET_MEAN, IMAGENET_STD
    size_multiple = 32  # a whole ResNet's stride
    stem_stride = 2

    def __init__(
        self, architecture: Architecture = RESNET18, weights_licence: str = UNKNOWN_LICENCE
    ) -> None:
        super().__init__(architecture, folded=True)
        self.channels = architecture.widths
        self.stem_channels = architecture.stem
        self.weights_licence = weights_licence
        self.freeze()

    def with_stem(self, x: Tensor) -> Features:
        """Map a normalised image to the stem (B, stem, H/2, W/2) and stages 1-3."""
        stem = self.stem(x)
        first = self.first_level(stem)
        return stem, first, *self.later_levels(first)

    def student(self, *, zero_last_norm: bool) -> ResNetStudent:
        """Build a trainable ResNet of the same architecture."""
        return ResNetStudent(self.architecture, zero_last_norm=zero_last_norm)


def _stage(architecture: Architecture, index: int, folded: bool) -> nn.Sequential:
    """Build stage ``index`` (0, 1 or 2); all but the first halve the size."""
    outputs = architecture.widths[index]
    before = architecture.stem if index == 0 else architecture.widths[index - 1]
    steps = [(before, 1 if index == 0 else 2)] + [(outputs, 1)] * (architecture.blocks[index] - 1)
    if architecture.inner is None:
        return nn.Sequential(*(BasicBlock(i, outputs, s, folded=folded) for i, s in steps))
    inner = architecture.inner[index]
    return nn.Sequential(*(Bottleneck(i, inner, outputs, s, folded=folded) for i, s in steps))
