"""The interface of a method to the training loop, the export, the inspector and the bench."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from flawmap.backbones.base import Backbone
from flawmap.errors import UsageError
from flawmap.methods.batch import Batch
from flawmap.methods.config import MethodConfig
from flawmap.methods.optimisation import PhaseConfig, phase_steps

REFINING_RATE = 0.3
"""Factor on the learning rates of a head that goes on learning: at 1 it forgets more."""
_FULL_STEPS = 1.3 * 256 * 256  # pixels of an image up to which refining takes all its steps


@dataclass(frozen=True)
class Phase:
    """One phase of training: which modules learn, at what rates, and on which loss."""

    name: str
    config: PhaseConfig
    groups: tuple[nn.Module, ...]
    """The trained modules, one per learning rate of ``config``; all others are frozen."""
    loss: Callable[[Batch], Tensor]
    sees_defects: bool = False
    """Whether known defects, if there are any, are among the corrupted images."""


class Method(ABC):
    """Base class of a trainable method, built from a frozen backbone and a configuration.

    ``module`` holds all weights, the frozen teacher's as ``module.teacher``. It maps images
    (B, 3, H, W) in 0..1 to anomaly maps (B, H, W) and image scores (B,), higher meaning more
    anomalous; and, if ``has_distances``, to the distances between teacher and student at every
    level, finest first, (B, levels, h, w), at least 0; cosine distances are at most 1.
    """

    presets: ClassVar[Mapping[str, MethodConfig]]
    """Configurations by name; ``fast`` is the default."""
    has_distances: ClassVar[bool] = True
    """Whether ``evaluate --distances`` is supported."""

    config: MethodConfig
    module: nn.Module

    @abstractmethod
    def __init__(self, teacher: Backbone, config: Any) -> None: ...

    @abstractmethod
    def phases(self) -> tuple[Phase, ...]:
        """Return the training phases in order."""

    def refining(self) -> tuple[Phase, ...]:
        """Return the phases in which a trained method's head goes on learning.

        Raises UsageError if the method has no head.
        """
        raise UsageError("This method has no head that could learn more.")

    def refining_steps(self, images: int) -> int:
        """Return the steps of :meth:`refining` on this many good images.

        They are as many for parts that are turned: only the student needs longer for these. On
        large images they are fewer, so that people at a line need not wait much longer.
        """
        phases = self.phases()
        steps = self.config.steps_for("none", images)
        counts = phase_steps([phase.config for phase in phases], steps)
        height, width = self.config.size
        share = min(1.0, _FULL_STEPS / (height * width))
        steps = sum(n for phase, n in zip(phases, counts, strict=True) if phase.sees_defects)
        return max(2, round(share * steps))

    def fit_read_out(self, good: Iterable[Tensor]) -> None:  # noqa: B027 - most have nothing to fit
        """After training, set the buffers of the module's read-out from good images.

        ``good``: training images, (1, 3, H, W) in 0..1 each; iterate over them only once. The
        module is in evaluation mode, and gradients are off.
        """
