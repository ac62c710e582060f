"""What a method owes the training loop and the export."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn

from flawmap.methods.optimisation import PhaseConfig
from flawmap.training.batches import Batch


@dataclass(frozen=True)
class Phase:
    """One stretch of training: what learns, how fast, and on which loss."""

    name: str
    config: PhaseConfig
    groups: tuple[nn.Module, ...]
    """The modules that learn, one for each learning rate of ``config``; all else is frozen."""
    loss: Callable[[Batch], Tensor]


class Method(Protocol):
    """A trainable method.

    ``module`` holds every weight and maps images (B, 3, H, W) in 0..1 to anomaly maps (B, H, W),
    image scores (B,), and the distances of teacher and student at every level (B, levels, h, w).
    """

    @property
    def module(self) -> nn.Module: ...

    def phases(self) -> tuple[Phase, ...]: ...
