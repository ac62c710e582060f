"""What a method owes the training loop, the export, the inspector and the bench."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from flawmap.backbones.resnet import ResNetTeacher
from flawmap.methods.batch import Batch
from flawmap.methods.config import MethodConfig
from flawmap.methods.optimisation import PhaseConfig


@dataclass(frozen=True)
class Phase:
    """One stretch of training: what learns, how fast, and on which loss."""

    name: str
    config: PhaseConfig
    groups: tuple[nn.Module, ...]
    """The modules that learn, one for each learning rate of ``config``; all else is frozen."""
    loss: Callable[[Batch], Tensor]


class Method(ABC):
    """A trainable method: a subclass, built from a teacher and a configuration.

    ``module`` holds every weight, the frozen teacher's as ``module.teacher``. It maps images
    (B, 3, H, W) in 0..1 to anomaly maps (B, H, W) and image scores (B,), higher meaning more
    anomalous; and, where ``has_distances``, to the distances of teacher and student at every
    level, finest first, (B, levels, h, w) from 0, cosine ones to 1.
    """

    presets: ClassVar[Mapping[str, MethodConfig]]
    """Configurations by name; ``fast`` is the default one."""
    has_distances: ClassVar[bool] = True
    """Whether ``evaluate --distances`` has anything to read out."""

    config: MethodConfig
    module: nn.Module

    @abstractmethod
    def __init__(self, teacher: ResNetTeacher, config: Any) -> None: ...

    @abstractmethod
    def phases(self) -> tuple[Phase, ...]:
        """What is trained, in order."""

    def fit_read_out(self, good: Iterable[Tensor]) -> None:  # noqa: B027 - most have nothing to fit
        """After training: set the module's buffers that its read-out takes from good images.

        ``good``: images trained on, (1, 3, H, W) in 0..1 each, to be gone through once. The module
        is in evaluation mode, and no gradient is kept.
        """
