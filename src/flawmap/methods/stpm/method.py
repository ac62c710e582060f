"""STPM's one phase: the student learns the teacher's features of good images."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from flawmap.backbones.base import Backbone
from flawmap.backbones.feature_cache import FeatureCache
from flawmap.methods.base import Method, Phase
from flawmap.methods.batch import Batch
from flawmap.methods.modules.features import cosine_distances
from flawmap.methods.stpm.config import PRESETS, StpmConfig
from flawmap.methods.stpm.model import Stpm


class StpmMethod(Method):
    """STPM's interface to the training loop."""

    presets: ClassVar = PRESETS
    config: StpmConfig
    module: Stpm

    def __init__(self, teacher: Backbone, config: StpmConfig) -> None:
        config.check_backbone(teacher)
        self.config = config
        self.module = Stpm(teacher, config)
        self._cached = FeatureCache(teacher)

    def phases(self) -> tuple[Phase, ...]:
        """Return the one phase: the student on the features' squared distance."""
        phase = self.config.student_phase
        return (Phase("student", phase, (self.module.student,), self.student_loss),)

    def student_loss(self, batch: Batch) -> Tensor:
        """Sum the mean squared distance of unit features, ``2 (1 - cosine)``, over levels."""
        clean = self.module.normalise_image(batch.clean)
        target = self._cached(clean, batch.rows)
        levels = cosine_distances(target, self.module.student(clean))
        return torch.stack([2.0 * level.mean() for level in levels]).sum()
