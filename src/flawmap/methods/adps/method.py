"""ADPS's one joint phase: the student and the segmentation learn together."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from flawmap.backbones.base import Backbone
from flawmap.backbones.features import Features
from flawmap.methods.adps.config import PRESETS, AdpsConfig
from flawmap.methods.adps.median_offset import MedianOffset
from flawmap.methods.adps.model import Adps
from flawmap.methods.base import Method, Phase
from flawmap.methods.batch import Batch
from flawmap.methods.modules.losses import focal_loss, shrink_mask
from flawmap.methods.modules.parallel import batch_sum


class AdpsMethod(Method):
    """ADPS's interface to the training loop."""

    presets: ClassVar = PRESETS
    config: AdpsConfig
    module: Adps

    def __init__(self, teacher: Backbone, config: AdpsConfig) -> None:
        config.check_backbone(teacher)
        self.config = config
        self.module = Adps(teacher, config)

    def phases(self) -> tuple[Phase, ...]:
        """Return the one phase: both networks on the sum of both losses."""
        module = self.module
        head = nn.ModuleList([module.gate, module.head])
        return (Phase("joint", self.config.phase, (module.student, head), self.loss),)

    def loss(self, batch: Batch) -> Tensor:
        """Return ``L_d + λ L_s``, with teacher and student both on the corrupted image."""
        module = self.module
        x = module.normalise_image(batch.corrupted)
        with torch.no_grad():
            teacher = module.teach(x)
        student = module.student(x)
        loss = self.distillation_loss(teacher, student, batch.mask)
        if not self.config.segmentation:
            return loss
        logits = module.segment(teacher, student)
        mask = shrink_mask(batch.mask, (logits.shape[-2], logits.shape[-1]))
        return loss + self.config.segmentation_weight * focal_loss(
            logits, mask, self.config.focal_gamma
        )

    def fit_read_out(self, good: Iterable[Tensor]) -> None:
        """Fit the median offset to the logits of good images, if maps are corrected by it."""
        module = self.module
        if not isinstance(module.level, MedianOffset):
            return
        normalised = (module.normalise_image(image) for image in good)
        module.level.fit(module.segment(module.teach(x), module.student(x)) for x in normalised)

    def distillation_loss(self, teacher: Features, student: Features, mask: Tensor) -> Tensor:
        """Return ``L_d``: distance at good, similarity at corrupted positions, summed over levels.

        A corrupted position at distance 1 (the maximum for cosine) or more contributes nothing.
        """
        pulls = []
        for distance in self.module.distances(teacher, student):
            size = (distance.shape[-2], distance.shape[-1])
            corrupted = self._at_level(mask, size)[:, 0] > 0.5
            pull = torch.where(corrupted, (1.0 - distance).clamp(min=0.0), distance)
            pulls.append(
                pull.mean() if self.config.distillation_reduction == "mean" else batch_sum(pull)
            )
        return torch.stack(pulls).sum()

    def _at_level(self, mask: Tensor, size: tuple[int, int]) -> Tensor:
        if self.config.distillation_mask == "max":
            return F.adaptive_max_pool2d(mask, size)
        return shrink_mask(mask, size)
