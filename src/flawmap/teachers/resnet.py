"""The frozen teacher: stem and stages 1-3 of a ResNet-18 (He et al., CVPR 2016), batch norm folded.

Modules carry torchvision's names (``layer2.0.downsample.0``), so a state dict in that layout,
once folded, loads as it is. Narrower widths give the project's own ``pocket`` teacher.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

Features = tuple[Tensor, Tensor, Tensor]


class FoldedBlock(nn.Module):
    """ResNet's basic block for inference: each convolution carries its norm in weight and bias."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1)
        self.downsample = (
            nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride))
            if stride != 1 or inputs != outputs
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.conv1(x), inplace=True)
        return F.relu(self.conv2(x) + identity, inplace=True)


class ResNetTeacher(nn.Module):
    """Frozen feature extractor, always in evaluation mode.

    Maps a normalised image (B, 3, H, W) to the outputs of stages 1-3 after their last ReLU:
    (B, w1, H/4, W/4), (B, w2, H/8, W/8), (B, w3, H/16, W/16).
    """

    def __init__(self, widths: tuple[int, int, int] = (64, 128, 256)) -> None:
        super().__init__()
        w1, w2, w3 = self.widths = widths
        self.conv1 = nn.Conv2d(3, w1, 7, 2, 3)
        self.layer1 = nn.Sequential(FoldedBlock(w1, w1, 1), FoldedBlock(w1, w1, 1))
        self.layer2 = nn.Sequential(FoldedBlock(w1, w2, 2), FoldedBlock(w2, w2, 1))
        self.layer3 = nn.Sequential(FoldedBlock(w2, w3, 2), FoldedBlock(w3, w3, 1))
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> ResNetTeacher:
        """Stay in evaluation mode: the teacher never learns."""
        del mode
        return super().train(False)

    def forward(self, x: Tensor) -> Features:
        x = F.max_pool2d(F.relu(self.conv1(x), inplace=True), 3, 2, 1)
        first = self.layer1(x)
        second = self.layer2(first)
        return first, second, self.layer3(second)
