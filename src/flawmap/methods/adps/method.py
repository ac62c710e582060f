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
from flawmap.methods.base import REFINING_RATE, Method, Phase
from flawmap.methods.batch import Batch
from flawmap.methods.modules.losses import (
    focal_loss,
    mean_of_marked,
    shrink_mask,
    somewhere_loss,
)
from flawmap.methods.modules.parallel import batch_sum

_HEAD_SHARE = 0.3  # of the joint phase's steps, for a head alone


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
        groups = (module.student, head)
        return (Phase("joint", self.config.phase, groups, self.loss, sees_defects=True),)

    def refining(self) -> tuple[Phase, ...]:
        """Return one phase for gate and head; the student stays as it is."""
        if not self.config.segmentation:
            return super().refining()
        head = nn.ModuleList([self.module.gate, self.module.head])
        rates = self.config.phase.learning_rates[1:]
        config = self.config.phase.model_copy(update={"learning_rates": rates})
        config = config.slowed(REFINING_RATE)
        return (Phase("head", config, (head,), self.head_loss, sees_defects=True),)

    def refining_steps(self, images: int) -> int:
        """Return a part of the joint phase's steps: only the head learns."""
        return max(2, round(_HEAD_SHARE * super().refining_steps(images)))

    def head_loss(self, batch: Batch) -> Tensor:
        """Return ``L_s`` of the frozen student, on the corrupted image."""
        module = self.module
        x = module.normalise_image(batch.corrupted)
        with torch.no_grad():
            teacher, student = module.teach(x), module.student(x)
        return self._segmentation_loss(module.segment(teacher, student), batch)

    def _segmentation_loss(self, logits: Tensor, batch: Batch) -> Tensor:
        size = (logits.shape[-2], logits.shape[-1])
        mask = shrink_mask(batch.mask, size, keep_small=batch.marked is not None)
        loss = focal_loss(logits, mask, self.config.focal_gamma, batch.marked)
        return loss + somewhere_loss(logits, batch.marked)

    def loss(self, batch: Batch) -> Tensor:
        """Return ``L_d + λ L_s``, with teacher and student both on the corrupted image."""
        module = self.module
        x = module.normalise_image(batch.corrupted)
        with torch.no_grad():
            teacher = module.teach(x)
        student = module.student(x)
        loss = self.distillation_loss(teacher, student, batch.mask, batch.real)
        if not self.config.segmentation:
            return loss
        seen = _held_still(student, batch.real)
        segmentation = self._segmentation_loss(module.segment(teacher, seen), batch)
        return loss + self.config.segmentation_weight * segmentation

    def fit_read_out(self, good: Iterable[Tensor]) -> None:
        """Fit the median offset to the logits of good images, if maps are corrected by it."""
        module = self.module
        if not isinstance(module.level, MedianOffset):
            return
        normalised = (module.normalise_image(image) for image in good)
        module.level.fit(module.segment(module.teach(x), module.student(x)) for x in normalised)

    def distillation_loss(
        self, teacher: Features, student: Features, mask: Tensor, real: Tensor | None = None
    ) -> Tensor:
        """Return ``L_d``: distance at good, similarity at corrupted positions, summed over levels.

        A corrupted position at distance 1 (the maximum for cosine) or more contributes nothing, nor
        does a real defective image, whose ``real`` (B,) is 1: the student learns from good ones.
        """
        good = None if real is None else 1.0 - real
        pulls = []
        for distance in self.module.distances(teacher, student):
            size = (distance.shape[-2], distance.shape[-1])
            corrupted = self._at_level(mask, size)[:, 0] > 0.5
            pull = torch.where(corrupted, (1.0 - distance).clamp(min=0.0), distance)
            if self.config.distillation_reduction == "mean":
                pulls.append(mean_of_marked(pull[:, None], good))
            else:
                pulls.append(batch_sum(pull if good is None else pull * good[:, None, None]))
        return torch.stack(pulls).sum()

    def _at_level(self, mask: Tensor, size: tuple[int, int]) -> Tensor:
        if self.config.distillation_mask == "max":
            return F.adaptive_max_pool2d(mask, size)
        return shrink_mask(mask, size)


def _held_still(student: Features, real: Tensor | None) -> Features:
    """Return features whose gradient stops at samples that are ``real`` (B,) defective images."""
    if real is None:
        return student
    still = real[:, None, None, None] > 0.5
    return tuple(torch.where(still, level.detach(), level) for level in student)
