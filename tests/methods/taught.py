"""A method with a head that hardly computes anything, for tests of what teaches heads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from torch import Tensor, nn

from flawmap.backbones.base import Backbone
from flawmap.methods.base import Phase
from flawmap.methods.batch import Batch
from flawmap.methods.modules.blocks import upsample
from flawmap.methods.modules.losses import focal_loss, shrink_mask, somewhere_loss
from flawmap.methods.optimisation import PhaseConfig
from flawmap.methods.registry import METHODS
from flawmap.synthesis.anomalies import AnomalyConfig
from methods.plain import Plain, PlainConfig, PlainMethod


class TaughtConfig(PlainConfig):
    anomalies: AnomalyConfig | None = AnomalyConfig()
    phase: PhaseConfig = PhaseConfig(optimiser="sgd", learning_rates=(1e-3,), share=0.5)
    head_phase: PhaseConfig = PhaseConfig(optimiser="adamw", learning_rates=(1e-2,), share=0.5)

    @property
    def learns_defects(self) -> bool:
        return True


class Taught(Plain):
    """Its map is the head's probability; what is usual it learns only to have two networks."""

    def __init__(self, teacher: Backbone) -> None:
        super().__init__(teacher)
        self.head = nn.Conv2d(self.teacher.stem_channels, 1, 1)

    def segment(self, image: Tensor) -> Tensor:
        found: Tensor = self.head(self.teacher.stem(self.normalise_image(image)))
        return found

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        logits = upsample(self.segment(image), (image.shape[-2], image.shape[-1]))
        anomaly_map = logits[:, 0].sigmoid()
        return anomaly_map, anomaly_map.amax((1, 2))


class TaughtMethod(PlainMethod):
    presets: ClassVar = {"paper": TaughtConfig(), "fast": TaughtConfig(preset="fast")}

    def __init__(self, teacher: Backbone, config: TaughtConfig) -> None:
        self.config = config
        self.module = Taught(teacher)

    def phases(self) -> tuple[Phase, ...]:
        module, config = self.module, self.config
        return (
            Phase("usual", config.phase, (module.usual,), self.loss),
            Phase("head", config.head_phase, (module.head,), self.head_loss, sees_defects=True),
        )

    def refining(self) -> tuple[Phase, ...]:
        return self.phases()[1:]

    def loss(self, batch: Batch) -> Tensor:
        image = self.module.normalise_image(batch.clean)
        return self.module.usual(self.module.teacher.stem(image)).square().mean()

    def head_loss(self, batch: Batch) -> Tensor:
        logits = self.module.segment(batch.corrupted).float()
        mask = shrink_mask(batch.mask, (logits.shape[-2], logits.shape[-1]))
        return focal_loss(logits, mask, 2.0, batch.marked) + somewhere_loss(logits, batch.marked)


@contextmanager
def registered() -> Iterator[str]:
    """Its name, by which ``flawmap.train`` knows it meanwhile."""
    METHODS["taught"] = TaughtMethod
    try:
        yield "taught"
    finally:
        del METHODS["taught"]
