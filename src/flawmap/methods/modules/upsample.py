"""Upsampling of a method's small map to the image's size."""

from __future__ import annotations

from torch import Tensor, nn

from flawmap.methods.modules.blocks import upsample
from flawmap.methods.modules.guided_filter import GuidedUpsampling
from flawmap.methods.modules.readout import smoothing


class Upsample(nn.Module):
    """Upsample a map (B, 1, h, w) with its image (B, 3, H, W) in 0..1 to (B, H, W), same range.

    The map is blurred by ``deviation`` of its cells, then upsampled: along the image's edges if
    ``guidance`` is above 0 (see :class:`GuidedUpsampling`), else bilinearly.
    """

    def __init__(self, deviation: float, guidance: float) -> None:
        super().__init__()
        self.smooth = smoothing(deviation)
        self.guided = GuidedUpsampling(guidance) if guidance else None

    def forward(self, small: Tensor, image: Tensor) -> Tensor:
        """Map (B, 1, h, w) and (B, 3, H, W) to (B, H, W)."""
        small = self.smooth(small)
        if self.guided is not None:
            large: Tensor = self.guided(small, image)
        else:
            large = upsample(small, (image.shape[-2], image.shape[-1]))
        return large[:, 0]
