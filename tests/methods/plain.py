"""A method that hardly computes anything, for tests of what is the same for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from torch import Tensor, nn

from flawmap.backbones.base import Backbone
from flawmap.backbones.features import ImageNorm
from flawmap.methods.base import Method, Phase
from flawmap.methods.batch import Batch
from flawmap.methods.config import MethodConfig
from flawmap.methods.modules.blocks import upsample
from flawmap.methods.optimisation import PhaseConfig
from flawmap.methods.registry import METHODS


class PlainConfig(MethodConfig):
    phase: PhaseConfig = PhaseConfig(optimiser="sgd", learning_rates=(1e-3,), share=1.0)


class Plain(nn.Module):
    """One number of the teacher's stem, which good images are to make 0."""

    def __init__(self, teacher: Backbone) -> None:
        super().__init__()
        self.teacher = teacher
        self.normalise_image = ImageNorm(teacher.mean, teacher.std)
        self.usual = nn.Conv2d(teacher.stem_channels, 1, 1)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        unusual = self.usual(self.teacher.stem(self.normalise_image(image))).square()
        anomaly_map = upsample(unusual, (image.shape[-2], image.shape[-1]))[:, 0]
        return anomaly_map, anomaly_map.amax((1, 2))


class PlainMethod(Method):
    presets: ClassVar = {"paper": PlainConfig(), "fast": PlainConfig(preset="fast")}
    has_distances = False

    def __init__(self, teacher: Backbone, config: PlainConfig) -> None:
        self.config = config
        self.module = Plain(teacher)

    def phases(self) -> tuple[Phase, ...]:
        return (Phase("usual", self.config.phase, (self.module.usual,), self.loss),)

    def loss(self, batch: Batch) -> Tensor:
        return self.module(batch.clean)[0].mean()


@contextmanager
def registered() -> Iterator[str]:
    """Its name, by which ``flawmap.train`` knows it meanwhile."""
    METHODS["plain"] = PlainMethod
    try:
        yield "plain"
    finally:
        del METHODS["plain"]
