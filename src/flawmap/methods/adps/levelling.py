"""Lowering the map of a picture that looks unfamiliar everywhere."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Levelling(nn.Module):
    """Logits (B, 1, h, w) -> the same, lower where a picture's ordinary cells are too high.

    Most of a picture is good, even of a bad part; so its median cell should lie where those of
    good pictures do. On a surface that is good but new, student and teacher disagree all over, and
    the median rises: by as much, but by ``most`` at most, every logit is lowered. A picture that
    is bad all over keeps what is above that. ``cells``: sides of the cells, in positions.
    """

    usual: Tensor

    def __init__(self, most: float, cells: int = 8) -> None:
        super().__init__()
        self.most = most
        self.cells = cells
        self.register_buffer("usual", torch.tensor(torch.inf))  # until fitted nothing is lowered

    def medians(self, logits: Tensor) -> Tensor:
        """Of every picture's cells (B,); the lower one of two in the middle."""
        means = F.avg_pool2d(logits, self.cells).flatten(1)
        upper = means.shape[1] // 2 + 1  # torch's own median has no ONNX form
        return means.topk(upper, sorted=True).values[:, -1]

    @torch.no_grad()
    def fit(self, logits: Iterable[Tensor]) -> None:
        """Learn what is usual from the logits of good pictures."""
        self.usual.copy_(torch.cat([self.medians(one) for one in logits]).median())

    def forward(self, logits: Tensor) -> Tensor:
        excess = (self.medians(logits) - self.usual).clamp(min=0.0, max=self.most)
        return logits - excess[:, None, None, None]
