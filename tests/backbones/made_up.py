"""Backbones that are no ResNets, for tests that methods assume nothing of one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from flawmap.backbones.base import Backbone
from flawmap.backbones.features import Features, ImageConv
from flawmap.backbones.provider import Provider, TeacherSource
from flawmap.backbones.registry import BACKBONES


class TwoLevels(Backbone):
    """Levels at strides 4 and 8, after a ReLU; the image is read by an ImageConv."""

    channels, strides, size_multiple = (12, 20), (4, 8), 8
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)
    weights_licence = "made up"

    def __init__(self) -> None:
        super().__init__()
        self.fine = nn.Sequential(ImageConv(3, 12, 4, 4), nn.ReLU())
        self.coarse = nn.Sequential(nn.Conv2d(12, 20, 3, 2, 1), nn.ReLU())
        self.freeze()

    def forward(self, x: Tensor) -> Features:
        fine = self.fine(x)
        return fine, self.coarse(fine)


class Stride14(Backbone):
    """One level at stride 14 that may be negative, as a vision transformer's; no ImageConv."""

    channels, strides, size_multiple = (16,), (14,), 14
    mean, std = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
    weights_licence = "made up, too"
    signed = True

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 14, 14)
        self.mixed = nn.Sequential(nn.GELU(), nn.Conv2d(16, 16, 3, padding=1))
        self.freeze()

    def forward(self, x: Tensor) -> Features:
        return (self.mixed(self.patches(x)),)


class FiveLevels(Backbone):
    """Strides of every kind: 2, 6, 6, 12, 48."""

    channels, strides, size_multiple = (4, 5, 6, 7, 8), (2, 6, 6, 12, 48), 48
    mean, std = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)

    def __init__(self) -> None:
        super().__init__()
        self.levels = nn.ModuleList(
            ImageConv(3, c, s, s) for c, s in zip(self.channels, self.strides, strict=True)
        )
        self.freeze()

    def forward(self, x: Tensor) -> Features:
        return tuple(level(x).relu() for level in self.levels)


MADE_UP = {"two-levels": TwoLevels, "stride-14": Stride14, "five-levels": FiveLevels}


def _provider(kind: type[Backbone]) -> Provider:
    def load(name: str) -> tuple[Backbone, TeacherSource]:
        torch.manual_seed(0)
        return (backbone := kind()), TeacherSource.of(name, backbone)

    def rebuild(state: dict[str, Tensor]) -> Backbone:
        (backbone := kind()).load_state_dict(state)
        return backbone

    return Provider(load, rebuild)


@contextmanager
def registered() -> Iterator[None]:
    """Let ``--teacher`` know them meanwhile."""
    BACKBONES.update({name: _provider(kind) for name, kind in MADE_UP.items()})
    try:
        yield
    finally:
        for name in MADE_UP:
            del BACKBONES[name]
