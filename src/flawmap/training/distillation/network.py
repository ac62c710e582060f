"""The small network while it learns, and the lifts from its features to the large teacher's."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from flawmap.backbones.resnet import ResNet, basic

WIDTHS = (32, 64, 128)
"""Channels of the small network's stages: half of a ResNet-18's."""


def small_network() -> ResNet:
    """Build the small network, its norms not folded yet; levels at strides 4, 8 and 16."""
    return ResNet(basic(WIDTHS), folded=False)


class Lifts(nn.ModuleList):
    """1x1 projections of the small network's stages to a teacher's widths; for the training only.

    They give the teacher's features in units of each channel's mean and deviation (the buffers).
    """

    def __init__(self, teacher_widths: Sequence[int]) -> None:
        pairs = zip(WIDTHS, teacher_widths, strict=True)
        super().__init__(nn.Conv2d(small, teacher, 1) for small, teacher in pairs)
        for stage, width in enumerate(teacher_widths):
            self.register_buffer(f"mean{stage}", torch.zeros(1, width, 1, 1))
            self.register_buffer(f"deviation{stage}", torch.ones(1, width, 1, 1))

    def standardise(self, stage: int, feature: Tensor) -> Tensor:
        """Express a teacher's feature in these units."""
        return (feature - self.get_buffer(f"mean{stage}")) / self.get_buffer(f"deviation{stage}")

    def restore(self, stage: int, lifted: Tensor) -> Tensor:
        """Invert :meth:`standardise`."""
        return lifted * self.get_buffer(f"deviation{stage}") + self.get_buffer(f"mean{stage}")
