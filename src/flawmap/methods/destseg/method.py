"""DeSTSeg's two phases: the student learns to denoise, then the head to segment."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from flawmap.backbones.base import Backbone
from flawmap.backbones.feature_cache import FeatureCache
from flawmap.backbones.features import Features
from flawmap.methods.base import REFINING_RATE, Method, Phase
from flawmap.methods.batch import Batch
from flawmap.methods.destseg.config import PRESETS, DestsegConfig
from flawmap.methods.destseg.head import PaperHead
from flawmap.methods.destseg.losses import cosine_loss, segmentation_loss
from flawmap.methods.destseg.model import Destseg
from flawmap.methods.modules.losses import shrink_mask


class DestsegMethod(Method):
    """DeSTSeg's interface to the training loop."""

    presets: ClassVar = PRESETS
    config: DestsegConfig
    module: Destseg

    def __init__(self, teacher: Backbone, config: DestsegConfig) -> None:
        config.check_backbone(teacher)
        self.config = config
        self.module = Destseg(teacher, config)
        self._cached = FeatureCache(teacher)

    def phases(self) -> tuple[Phase, ...]:
        """Return the phases: student on the cosine loss, then head, if any, on segmentation."""
        student = Phase(
            "student", self.config.student_phase, (self.module.student,), self.student_loss
        )
        if self.config.head == "none":
            return (student,)
        head = self.config.head_phase, self._head_groups(), self.head_loss
        return student, Phase("head", *head, sees_defects=True)

    def refining(self) -> tuple[Phase, ...]:
        """Return the head's phase, slowed; student and teacher stay as they are."""
        if self.config.head == "none":
            return super().refining()
        head = self.phases()[1]
        return (replace(head, config=head.config.slowed(REFINING_RATE)),)

    def _head_groups(self) -> tuple[nn.Module, ...]:
        """Return the head's groups; the paper's residual blocks learn faster than the rest."""
        head = self.module.head
        return (head.res, head.head) if isinstance(head, PaperHead) else (head,)

    def student_loss(self, batch: Batch) -> Tensor:
        """Compare the student on the corrupted image with the teacher on the clean one."""
        module = self.module
        clean = module.normalise_image(batch.clean)
        target = self._cached(clean, batch.rows)
        if self.config.denoising:
            corrupted = module.normalise_image(batch.corrupted)
            guessed = module.student(corrupted, self._guide(corrupted))
        else:
            guessed = module.student(clean, target)
        return cosine_loss(target, guessed, self.config.cosine_reduction, self.config.hardness)

    def head_loss(self, batch: Batch) -> Tensor:
        """Train the head on teacher and frozen student, both on the corrupted image, as at test."""
        module = self.module
        corrupted = module.normalise_image(batch.corrupted)
        with torch.no_grad():
            teacher = module.teacher(corrupted)
            student = module.student(corrupted, teacher)
        logits = module.segment(teacher, student)
        size = (logits.shape[-2], logits.shape[-1])
        mask = shrink_mask(batch.mask, size, keep_small=batch.marked is not None)
        gamma, l1_weight = self.config.focal_gamma, self.config.l1_weight
        return segmentation_loss(logits, mask, gamma, l1_weight, batch.marked)

    def _guide(self, corrupted: Tensor) -> Features:
        """Return the teacher's features of the corrupted image, if it is the student's encoder."""
        if self.config.encoder == "own":
            return ()
        with torch.no_grad():
            return cast(Features, self.module.teacher(corrupted))
