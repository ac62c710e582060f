"""DeSTSeg's segmentation network (section 3.3), the paper's and a light one.

Both read ``X_k = -(T̂_k · Ŝ_k)``: the channel-wise products of teacher's and student's features,
each normalised over channels, whose sum is their cosine. Both return logits. :func:`compare` gives
the other inputs of the paper's ablation.
"""

from __future__ import annotations

from typing import Literal, cast

import torch
from torch import Tensor, nn

from flawmap.backbones.resnet import Features
from flawmap.methods.modules.blocks import conv_norm_relu, init_kaiming, two_blocks, upsample
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
    first, second, third = (_compare(t, s, how) for t, s in zip(teacher, student, strict=True))
    return first, second, third


def _compare(teacher: Tensor, student: Tensor, how: str) -> Tensor:
    if how == "features":
        return torch.cat([teacher, student], 1)
    product = normalise(teacher) * normalise(student)
    return -product if how == "products" else 1.0 - product.sum(1, keepdim=True)


def compared_widths(widths: tuple[int, int, int], how: str) -> tuple[int, int, int]:
    """Return the channels of :func:`compare`'s levels."""
    if how == "distances":
        return 1, 1, 1
    w1, w2, w3 = widths
    return (2 * w1, 2 * w2, 2 * w3) if how == "features" else widths


class Aspp(nn.Module):
    """Atrous pyramid: global pooling and three 3x3 convolutions of dilation 6, 12, 18."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pooled = nn.Sequential(nn.AdaptiveAvgPool2d(1), *conv_norm_relu(channels, channels, 1))
        self.dilated = nn.ModuleList(conv_norm_relu(channels, channels, 3, d) for d in (6, 12, 18))
        self.merge = conv_norm_relu(4 * channels, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        size = (x.shape[-2], x.shape[-1])
        branches = [upsample(self.pooled(x), size)] + [branch(x) for branch in self.dilated]
        merged: Tensor = self.merge(torch.cat(branches, 1))
        return merged


class PaperHead(nn.Module):
    """Two residual blocks, ASPP and two convolutions, all at the finest level's size (H/4, W/4).

    The residual blocks start Kaiming-normal, the rest with PyTorch's default.
    """

    def __init__(self, inputs: tuple[int, int, int], channels: int = 256) -> None:
        super().__init__()
        self.res = two_blocks(sum(inputs), channels)
        init_kaiming(self.res)
        self.head = nn.Sequential(
            Aspp(channels), *conv_norm_relu(channels, channels, 3), nn.Conv2d(channels, 1, 1)
        )

    def forward(self, products: Features) -> Tensor:
        size = (products[0].shape[-2], products[0].shape[-1])
        stacked = [products[0], *(upsample(x, size) for x in products[1:])]
        logits: Tensor = self.head(self.res(torch.cat(stacked, 1)))  # (B, 1, H/4, W/4)
        return logits


class PyramidHead(nn.Module):
    """Coarse-to-fine head: each level is processed at its own size, then refined by the next.

    Wide context is cheap at H/16, and only a few channels are left at (H/4, W/4).
    """

    def __init__(
        self, inputs: tuple[int, int, int], widths: tuple[int, int, int] = (16, 32, 48)
    ) -> None:
        super().__init__()
        w1, w2, w3 = widths
        self.lateral = nn.ModuleList(
            conv_norm_relu(channels, w, 1) for channels, w in zip(inputs, widths, strict=True)
        )
        self.coarse = two_blocks(w3, w3)
        self.middle = two_blocks(w2, w2)
        self.fine = two_blocks(w1, w1)
        self.narrow = nn.ModuleList(nn.Conv2d(wide, thin, 1) for wide, thin in ((w2, w1), (w3, w2)))
        init_kaiming(self)
        self.classify = nn.Conv2d(w1, 1, 1)
        nn.init.constant_(cast(Tensor, self.classify.bias), _PRIOR_LOGIT)

    def forward(self, products: Features) -> Tensor:
        x1, x2, x3 = (lateral(x) for lateral, x in zip(self.lateral, products, strict=True))
        x = self.coarse(x3)  # (B, w3, H/16, W/16)
        x = self.middle(_double(self.narrow[1](x)) + x2)  # (B, w2, H/8, W/8)
        x = self.fine(_double(self.narrow[0](x)) + x1)  # (B, w1, H/4, W/4)
        logits: Tensor = self.classify(x)
        return logits


def _double(x: Tensor) -> Tensor:
    return upsample(x, (2 * x.shape[-2], 2 * x.shape[-1]))
