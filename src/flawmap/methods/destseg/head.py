"""DeSTSeg's segmentation network (section 3.3), the paper's and a light one.

Both read ``X_k = -(T̂_k · Ŝ_k)``: the channel-wise products of teacher's and student's features,
each normalised over channels, whose sum is their cosine. Both return logits. :func:`compare` gives
the other inputs of the paper's ablation.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, cast

import torch
from torch import Tensor, nn

from flawmap.backbones.blocks import init_kaiming, two_blocks
from flawmap.backbones.features import Features
from flawmap.methods.modules.blocks import conv_norm_relu, upsample
from flawmap.methods.modules.features import normalise

# The light head starts by predicting 1 pixel in 20 anomalous, about the share in synthetic images
# (some 5 %), instead of spending its first steps on descending from one half.
_PRIOR_LOGIT = -3.0


def compare(
    teacher: Features, student: Features, how: Literal["products", "distances", "features"]
) -> Features:
    """Compute the head's input, level by level.

    ``products``: minus the channel-wise product of unit features; ``distances``: 1 - cosine, one
    channel; ``features``: both networks' features, unchanged and concatenated.
    """
    return tuple(_compare(t, s, how) for t, s in zip(teacher, student, strict=True))


def _compare(teacher: Tensor, student: Tensor, how: str) -> Tensor:
    if how == "features":
        return torch.cat([teacher, student], 1)
    product = normalise(teacher) * normalise(student)
    return -product if how == "products" else 1.0 - product.sum(1, keepdim=True)


def compared_widths(widths: Sequence[int], how: str) -> tuple[int, ...]:
    """Return the channels of :func:`compare`'s levels."""
    if how == "distances":
        return (1,) * len(widths)
    return tuple(2 * width if how == "features" else width for width in widths)


class Aspp(nn.Module):
    """Atrous pyramid: global pooling and three 3x3 convolutions of dilation 6, 12, 18."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pooled = nn.Sequential(nn.AdaptiveAvgPool2d(1), *conv_norm_relu(channels, channels, 1))
        self.dilated = nn.ModuleList(conv_norm_relu(channels, channels, 3, d) for d in (6, 12, 18))
        self.merge = conv_norm_relu(4 * channels, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) -> the same shape."""
        size = (x.shape[-2], x.shape[-1])
        branches = [upsample(self.pooled(x), size)] + [branch(x) for branch in self.dilated]
        merged: Tensor = self.merge(torch.cat(branches, 1))
        return merged


class PaperHead(nn.Module):
    """Two residual blocks, ASPP and two convolutions, all at the finest level's size.

    The residual blocks start Kaiming-normal, the rest with PyTorch's default.
    """

    def __init__(self, inputs: Sequence[int], channels: int = 256) -> None:
        super().__init__()
        self.res = two_blocks(sum(inputs), channels)
        init_kaiming(self.res)
        self.head = nn.Sequential(
            Aspp(channels), *conv_norm_relu(channels, channels, 3), nn.Conv2d(channels, 1, 1)
        )

    def forward(self, products: Features) -> Tensor:
        """Map :func:`compare`'s levels (B, c_k, H_k, W_k) to logits (B, 1, H_1, W_1)."""
        size = (products[0].shape[-2], products[0].shape[-1])
        stacked = [products[0], *(upsample(x, size) for x in products[1:])]
        logits: Tensor = self.head(self.res(torch.cat(stacked, 1)))
        return logits


class PyramidHead(nn.Module):
    """Coarse-to-fine head: each level is processed at its own size, then refined by the next.

    Wide context is cheap at the coarsest level, and only a few channels are left at the finest.
    ``inputs`` and ``widths``: channels of the levels and of the head, finest first. ``doublings``:
    how often the finest size is doubled, each time with a stage of half as many channels.
    """

    def __init__(
        self, inputs: Sequence[int], widths: Sequence[int] = (16, 32, 48), doublings: int = 0
    ) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(
            conv_norm_relu(channels, w, 1) for channels, w in zip(inputs, widths, strict=True)
        )
        self.stages = _stage_names(len(widths))
        for name, width in reversed(list(zip(self.stages, widths, strict=True))):
            self.add_module(name, two_blocks(width, width))
        self.narrow = nn.ModuleList(
            nn.Conv2d(wide, thin, 1) for wide, thin in zip(widths[1:], widths[:-1], strict=True)
        )
        finer = [max(2, widths[0] >> number) for number in range(doublings + 1)]
        self.halve = nn.ModuleList(nn.Conv2d(w, h, 1) for w, h in pairwise(finer))
        self.doubled = nn.ModuleList(two_blocks(width, width) for width in finer[1:])
        init_kaiming(self)
        self.classify = nn.Conv2d(finer[-1], 1, 1)
        nn.init.constant_(cast(Tensor, self.classify.bias), _PRIOR_LOGIT)

    def forward(self, products: Features) -> Tensor:
        """Map :func:`compare`'s levels (B, c_k, H_k, W_k) to logits (B, 1, H_1, W_1), doubled."""
        levels = [lateral(x) for lateral, x in zip(self.lateral, products, strict=True)]
        x = self.get_submodule(self.stages[-1])(levels[-1])
        for index in reversed(range(len(levels) - 1)):
            size = (levels[index].shape[-2], levels[index].shape[-1])
            x = upsample(self.narrow[index](x), size) + levels[index]
            x = self.get_submodule(self.stages[index])(x)
        for halve, stage in zip(self.halve, self.doubled, strict=True):
            x = stage(upsample(halve(x), (2 * x.shape[-2], 2 * x.shape[-1])))
        logits: Tensor = self.classify(x)
        return logits


def _stage_names(count: int) -> list[str]:
    """Name the stages of ``count`` levels, finest first: fine, middle, (middle2, ...) coarse."""
    between = ["middle", *(f"middle{k}" for k in range(2, count))][: max(0, count - 2)]
    return ["fine", *between, "coarse"][:count]
