"""Optimisation of one training phase: configuration, optimisers and schedule."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from flawmap.methods.muon import NormedMuon, scale_free

_WARM_UP = 0.1  # share of a one-cycle phase in which the rate rises
_DROPS = (0.8, 0.9)  # DRAEM's schedule, also used by ADPS: drops at these shares of a phase
_DROP = 0.2  # factor of each drop
_START = 0.04  # the cycle starts at this fraction of the peak (PyTorch's OneCycleLR: 1/25)


class PhaseConfig(BaseModel):
    """Optimiser, learning rates and schedule of one phase."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    optimiser: Literal["sgd", "adamw", "muon"] = Field(
        description="muon: NormedMuon for convolutions before a norm, AdamW for the rest"
    )
    learning_rates: tuple[float, ...] = Field(description="one per group of parameters")
    rest_rate: float = Field(
        2e-3,
        gt=0,
        description="muon only: learning rate of AdamW, for all but convolutions before a norm",
    )
    weight_decay: float = 1e-4
    momentum: float = Field(0.9, description="sgd only")
    schedule: Literal["constant", "one-cycle", "drops"] = Field(
        "constant",
        description="drops: multiply by 0.2 after 80 % and again after 90 % of the steps",
    )
    share: float = Field(gt=0, le=1, description="fraction of all steps that this phase takes")

    def slowed(self, factor: float) -> PhaseConfig:
        """Return the same phase with ``learning_rates`` multiplied by ``factor``.

        ``rest_rate``, at which ``muon`` leaves norms, biases and the output layer, stays: what was
        measured for refining (docs/learn-from-defects.md) was measured so.
        """
        rates = tuple(factor * rate for rate in self.learning_rates)
        return self.model_copy(update={"learning_rates": rates})


def build_optimisers(
    groups: Sequence[nn.Module], config: PhaseConfig
) -> list[torch.optim.Optimizer]:
    """Build optimisers that together update all parameters, one group per learning rate.

    There is one optimiser, except for ``muon``: NormedMuon updates the convolutions followed by a
    norm, and AdamW updates norms, biases and the rest.
    """
    rates = list(zip(groups, config.learning_rates, strict=True))
    if config.optimiser == "muon":
        orthogonalised = [_group(scale_free(module), rate) for module, rate in rates]
        known = {id(weight) for group in orthogonalised for weight in group["params"]}
        rest = [p for module in groups for p in module.parameters() if id(p) not in known]
        return [NormedMuon(orthogonalised), _adamw([_group(rest, config.rest_rate)], config)]
    parameters = [_group(list(module.parameters()), rate) for module, rate in rates]
    if config.optimiser == "adamw":
        return [_adamw(parameters, config)]
    return [torch.optim.SGD(parameters, momentum=config.momentum, weight_decay=config.weight_decay)]


def _group(parameters: Sequence[Tensor], rate: float) -> dict[str, Any]:
    return {"params": parameters, "lr": rate, "peak": rate}


def _adamw(groups: list[dict[str, Any]], config: PhaseConfig) -> torch.optim.Optimizer:
    return torch.optim.AdamW(groups, weight_decay=config.weight_decay, fused=True)


def rate_factor(config: PhaseConfig, done: int, steps: int) -> float:
    """Return the next step's learning rate as fraction of the peak, after ``done`` of ``steps``."""
    if config.schedule == "constant":
        return 1.0
    progress = done / max(1, steps)
    if config.schedule == "drops":
        return math.prod(_DROP for at in _DROPS if progress >= at)
    if progress < _WARM_UP:
        return _START + (1 - _START) * (1 - math.cos(math.pi * progress / _WARM_UP)) / 2
    return (1 + math.cos(math.pi * (progress - _WARM_UP) / (1 - _WARM_UP))) / 2


def set_rate(optimisers: Iterable[torch.optim.Optimizer], factor: float) -> None:
    """Set every group's learning rate to ``factor`` times its peak."""
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["lr"] = group["peak"] * factor


def phase_steps(configs: Iterable[PhaseConfig], total: int) -> list[int]:
    """Split ``total`` steps over the phases by their shares, at least one each."""
    shares = [c.share for c in configs]
    count = len(shares)
    ends = [round(total * sum(shares[: i + 1]) / sum(shares)) for i in range(count)]
    ends = [min(max(end, i + 1), total - count + i + 1) for i, end in enumerate(ends)]
    return [end - start for start, end in zip([0, *ends[:-1]], ends, strict=True)]
