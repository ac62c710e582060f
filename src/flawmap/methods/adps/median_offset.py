"""Lower the map of an image that is unfamiliar everywhere."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class MedianOffset(nn.Module):
    """Lower logits (B, 1, h, w) of images whose median cell is too high.

    Most of an image is good, even of a defective part; so its median cell should match that of good
    images. On a good but new surface, student and teacher disagree everywhere, and the median
    rises: every logit is lowered by that amount, at most by ``most``. An image that is
    defective everywhere keeps the excess. ``cells``: side of a cell, in positions; smaller logits
    are one cell.
    """

    usual: Tensor

    def __init__(self, most: float, cells: int = 8) -> None:
        super().__init__()
        self.most = most
        self.cells = cells
        self.register_buffer("usual", torch.tensor(torch.inf))  # nothing is lowered until fitted

    def medians(self, logits: Tensor) -> Tensor:
        """Return the median (B,) of each image's cells; the lower of two middle values."""
        means = F.avg_pool2d(logits, min(self.cells, *logits.shape[-2:])).flatten(1)
        upper = means.shape[1] // 2 + 1  # torch's own median has no ONNX form
        return means.topk(upper, sorted=True).values[:, -1]

    @torch.no_grad()
    def fit(self, logits: Iterable[Tensor]) -> None:
        """Set the usual median from the logits of good images."""
        self.usual.copy_(torch.cat([self.medians(one) for one in logits]).median())

    def forward(self, logits: Tensor) -> Tensor:
        """Lower logits (B, 1, h, w); the shape stays."""
        excess = (self.medians(logits) - self.usual).clamp(min=0.0, max=self.most)
        return logits - excess[:, None, None, None]
