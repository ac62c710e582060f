"""How one phase of training is optimised: the configuration, and optimiser and schedule from it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

_WARM_UP = 0.1  # share of a one-cycle phase spent rising
_START = 0.04  # the cycle starts at this fraction of the peak (PyTorch's OneCycleLR: 1/25)


class PhaseConfig(BaseModel):
    """Optimiser, learning rates and schedule of one phase."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    optimiser: Literal["sgd", "adamw"]
    learning_rates: tuple[float, ...] = Field(description="one a group of parameters")
    weight_decay: float = 1e-4
    momentum: float = Field(0.9, description="sgd's")
    schedule: Literal["constant", "one-cycle"] = "constant"
    share: float = Field(gt=0, le=1, description="this phase's share of all steps")


def build_optimiser(groups: Sequence[nn.Module], config: PhaseConfig) -> torch.optim.Optimizer:
    """Optimiser over the modules' parameters, one group a learning rate."""
    parameters = [
        {"params": list(module.parameters()), "lr": rate, "peak": rate}
        for module, rate in zip(groups, config.learning_rates, strict=True)
    ]
    if config.optimiser == "sgd":
        return torch.optim.SGD(
            parameters, momentum=config.momentum, weight_decay=config.weight_decay
        )
    return torch.optim.AdamW(parameters, weight_decay=config.weight_decay, fused=True)


def rate_factor(config: PhaseConfig, done: int, steps: int) -> float:
    """Learning rate of the next step as a fraction of the peak, after ``done`` of ``steps``."""
    if config.schedule == "constant":
        return 1.0
    progress = done / max(1, steps)
    if progress < _WARM_UP:
        return _START + (1 - _START) * (1 - math.cos(math.pi * progress / _WARM_UP)) / 2
    return (1 + math.cos(math.pi * (progress - _WARM_UP) / (1 - _WARM_UP))) / 2


def set_rate(optimiser: torch.optim.Optimizer, factor: float) -> None:
    """Set every group's learning rate to ``factor`` times its peak."""
    for group in optimiser.param_groups:
        group["lr"] = group["peak"] * factor


def phase_steps(configs: Iterable[PhaseConfig], total: int) -> list[int]:
    """Steps of each phase by its share, at least one each, together ``total``."""
    shares = [c.share for c in configs]
    count = len(shares)
    ends = [round(total * sum(shares[: i + 1]) / sum(shares)) for i in range(count)]
    ends = [min(max(end, i + 1), total - count + i + 1) for i, end in enumerate(ends)]
    return [end - start for start, end in zip([0, *ends[:-1]], ends, strict=True)]
