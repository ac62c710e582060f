"""The interface of a student, and a student of ResNet blocks for any backbone."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from torch import Tensor, nn
from torch.nn import functional as F

from flawmap.backbones.blocks import basic_blocks, init_kaiming
from flawmap.backbones.features import Features, ImageConv


class Student(nn.Module):
    """A trainable network whose levels have a backbone's shapes, computed in three steps.

    A subclass implements the steps; ADPS cuts the first level into patches between them.
    """

    def stem(self, x: Tensor) -> Tensor:
        """Compute what precedes the first level from a normalised image (B, 3, H, W).

        If the backbone offers its stem as a level, this has that level's shape.
        """
        raise NotImplementedError

    def first_level(self, stem: Tensor) -> Tensor:
        """Compute the first level (B, c_1, H/s_1, W/s_1) from the stem's output."""
        raise NotImplementedError

    def later_levels(self, first: Tensor) -> Features:
        """Compute all other levels from the first one; empty if there is only one."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Features:
        """Map a normalised image (B, 3, H, W) to levels (B, c_k, H/s_k, W/s_k), finest first."""
        first = self.first_level(self.stem(x))
        return first, *self.later_levels(first)


class LevelStudent(Student):
    """A ResNet-like encoder with levels of the given channels and strides, finest first.

    For strides 4, 8, 16 it is a ResNet-18 up to stage 3. Between levels, stride-2 blocks halve the
    size; where a ratio of strides is no power of two, maps are resized bilinearly first, so that
    every level has exactly H/s_k x W/s_k positions. ``signed``: each level ends in a 1x1
    convolution and may be negative. ``zero_last_norm``: residual blocks start as their short cuts.
    """

    def __init__(
        self,
        channels: Sequence[int],
        strides: Sequence[int],
        *,
        zero_last_norm: bool,
        signed: bool = False,
    ) -> None:
        super().__init__()
        self.strides = tuple(strides)
        self.stem_stride = min(4, 2 ** _halvings(Fraction(strides[0])))
        self.conv1 = ImageConv(3, channels[0], 7, min(2, self.stem_stride), 3, bias=False)
        self.bn1 = nn.BatchNorm2d(channels[0])
        before = [channels[0], *channels[:-1]]
        for number, (inputs, outputs) in enumerate(zip(before, channels, strict=True), start=1):
            halvings = _halvings(self._ratio(number))
            blocks = [*[2] * halvings, *[1] * (2 - halvings)]
            setattr(self, f"layer{number}", basic_blocks(inputs, outputs, blocks))
        init_kaiming(self, zero_last_norm=zero_last_norm)
        self.out = nn.ModuleList(
            nn.Conv2d(width, width, 1) if signed else nn.Identity() for width in channels
        )

    def stem(self, x: Tensor) -> Tensor:
        """Map a normalised image (B, 3, H, W) to (B, c_1, h, w), ready for the first level."""
        size = (x.shape[-2] // self.strides[0], x.shape[-1] // self.strides[0])
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        if self.stem_stride == 4:
            x = F.max_pool2d(x, 3, 2, 1)
        return _before(x, size, _halvings(self._ratio(1)))

    def first_level(self, stem: Tensor) -> Tensor:
        """Compute level 1, (B, c_1, H/s_1, W/s_1), from the stem's output."""
        first: Tensor = self.out[0](self.layer(1)(stem))
        return first

    def later_levels(self, first: Tensor) -> Features:
        """Compute levels 2 and later, (B, c_k, H/s_k, W/s_k), from the first one."""
        levels = [first]
        for number in range(2, len(self.strides) + 1):
            x, ratio = levels[-1], self._ratio(number)
            size = (int(x.shape[-2] / ratio), int(x.shape[-1] / ratio))
            x = self.layer(number)(_before(x, size, _halvings(ratio)))
            levels.append(self.out[number - 1](x))
        return tuple(levels[1:])

    def layer(self, number: int) -> nn.Module:
        """Return the blocks of a level; 1 is the finest."""
        return self.get_submodule(f"layer{number}")

    def _ratio(self, number: int) -> Fraction:
        """Return how many times smaller a level is than what precedes it."""
        before = self.stem_stride if number == 1 else self.strides[number - 2]
        return Fraction(self.strides[number - 1], before)


def _halvings(ratio: Fraction) -> int:
    """Return how often a size can be halved without passing ``ratio``: log2, rounded down."""
    return int(ratio).bit_length() - 1


def _before(x: Tensor, size: tuple[int, int], halvings: int) -> Tensor:
    """Resize ``x`` so that as many halvings as given end at ``size`` (height, width)."""
    wanted = (size[0] << halvings, size[1] << halvings)
    if (x.shape[-2], x.shape[-1]) == wanted:
        return x
    return F.interpolate(x, size=wanted, mode="bilinear", align_corners=False)
