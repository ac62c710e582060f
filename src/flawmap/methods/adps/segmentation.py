"""ADPS's two new parts: the Weight Mask Block's gate and the Post-Segmentation Module."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from flawmap.backbones.blocks import init_kaiming
from flawmap.methods.modules.blocks import conv_norm_relu, upsample
from flawmap.methods.modules.features import cosine


def distance(teacher: Tensor, student: Tensor, how: str) -> Tensor:
    """Return the teacher-student distance (B, H, W), float32, >= 0: the paper's ``1 - W``.

    ``cosine``: 1 - cosine, at most 1 where features are not negative, as after a ReLU.
    ``squared``: the squared difference, averaged over channels; unbounded above.
    """
    if how == "cosine":
        return 1.0 - cosine(teacher, student)
    return (teacher.float() - student.float()).square().mean(1)


class Gate(nn.Module):
    """Compute the segmentation's input from teacher's and student's features, level by level.

    ``weight`` is the Weight Mask Block, ``C = (1 - W) · T``: the teacher's features, weighted by
    how much the student's differ. It has no parameters. The rest are the paper's alternatives.
    """

    def __init__(self, how: str, measure: str, widths: Sequence[int]) -> None:
        super().__init__()
        self.how = how
        self.measure = measure
        merged = widths if how == "concatenation" else ()
        self.merge = nn.ModuleList(nn.Conv2d(2 * w, w, 3, padding=1) for w in merged)

    def forward(self, teacher: Sequence[Tensor], student: Sequence[Tensor]) -> list[Tensor]:
        """Map both networks' levels (B, C_k, H_k, W_k) to levels of the same shapes."""
        if self.how == "teacher":
            return list(teacher)
        if self.how == "student":
            return list(student)
        pairs = zip(teacher, student, strict=True)
        if self.how == "difference":
            return [(t.float() - s.float()).abs() for t, s in pairs]
        if self.how == "concatenation":
            both = (torch.cat(pair, 1) for pair in pairs)
            return [merge(x) for merge, x in zip(self.merge, both, strict=True)]
        weights = (distance(t, s, self.measure).clamp(max=1.0)[:, None] for t, s in pairs)
        return [weight * t for weight, t in zip(weights, teacher, strict=True)]


class UpBlock(nn.Module):
    """Upsample by a transposed convolution, concatenate the level, convolve twice.

    ``scale``: 2, or 1 where the level is no finer.
    """

    def __init__(self, inputs: int, skip: int, outputs: int, scale: int = 2) -> None:
        super().__init__()
        self.enlarge = nn.ConvTranspose2d(inputs, outputs, scale, stride=scale)
        self.merge = nn.Sequential(
            *conv_norm_relu(outputs + skip, outputs, 3), *conv_norm_relu(outputs, outputs, 3)
        )

    def forward(self, x: Tensor, level: Tensor | None) -> Tensor:
        """Map (B, inputs, h, w) to (B, outputs, H, W): the level's size, or ``scale`` times."""
        x = self.enlarge(x)
        if level is not None:
            if x.shape[-2:] != level.shape[-2:]:  # the ratio of strides is not 1 or 2
                x = upsample(x, (level.shape[-2], level.shape[-1]))
            x = torch.cat([x, level], 1)
        merged: Tensor = self.merge(x)
        return merged


class PostSegmentation(nn.Module):
    """A U-Net's decoder over the gated levels, coarsest first.

    ``inputs`` and ``strides``: of the levels, finest first; ``widths``: channels of the up-blocks,
    coarsest first; the last is repeated if the levels need more. Up-blocks beyond the levels double
    the size; those that would exceed the image's are left out.
    """

    def __init__(
        self,
        inputs: Sequence[int],
        widths: Sequence[int],
        strides: Sequence[int] = (4, 8, 16),
    ) -> None:
        super().__init__()
        skipped, doublings = len(inputs) - 1, strides[0].bit_length() - 1
        repeated = [widths[-1]] * (skipped - len(widths))
        widths = [*widths, *repeated][: skipped + doublings]
        before = (inputs[-1], *widths)
        skips = [*reversed(inputs[:-1]), *([0] * len(widths))]
        scales = [1 if fine == coarse else 2 for fine, coarse in pairwise(strides)][::-1]
        scales += [2] * len(widths)
        self.blocks = nn.ModuleList(
            UpBlock(before[i], skips[i], width, scales[i]) for i, width in enumerate(widths)
        )
        init_kaiming(self)
        self.classify = nn.Conv2d(before[-1], 2, 3, padding=1)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Map gated levels (B, C_k, H_k, W_k) to logits (B, 2, h, w), normal and anomalous."""
        x, skips = levels[-1], list(reversed(levels[:-1]))
        for number, block in enumerate(self.blocks):
            x = block(x, skips[number] if number < len(skips) else None)
        logits: Tensor = self.classify(x)
        return logits
