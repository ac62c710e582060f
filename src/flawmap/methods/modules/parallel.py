"""Losses and norms over a batch that several processes share, each with a slice of it.

Gradients are averaged over the processes (:mod:`flawmap.training.steps.ranks`), so each process
computes its part of a loss such that the average over all is the loss of the whole batch. In a
single process every function here does what its name says, and nothing else.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


def rank_count() -> int:
    """Return the number of processes that train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def batch_sum(values: Tensor) -> Tensor:
    """Sum ``values`` over a batch: the average of all processes' results is the whole sum."""
    return values.sum() * rank_count()


def batch_mean(values: Tensor) -> Tensor:
    """Average detached ``values``, equally many in every process, over the whole batch."""
    mean = values.mean()
    if rank_count() > 1:
        mean = mean.float()
        dist.all_reduce(mean)
        mean /= rank_count()
    return mean


class _Total(torch.autograd.Function):
    """Sum over all processes; so is its gradient, as every process's loss depends on the sum."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total


def _total(values: Tensor) -> Tensor:
    total: Tensor = _Total.apply(values)  # type: ignore[no-untyped-call]
    return total


class SyncedBatchNorm2d(nn.BatchNorm2d):
    """Batch norm whose training statistics are those of the whole batch, on any device.

    torch's own SyncBatchNorm runs on CUDA only. Every process must hold equally many images.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Normalise ``input`` (B, C, H, W)."""
        if not self.training or rank_count() == 1:
            return super().forward(input)
        wide = input.float()
        spread, middle = (x.double() for x in torch.var_mean(wide, (0, 2, 3), correction=0))
        moments = torch.stack([middle, spread + middle.square()])
        moments = _total(moments) / rank_count()
        mean, variance = moments[0], moments[1] - moments[0].square()
        count = rank_count() * input.numel() // input.shape[1]
        self._remember(mean.detach(), variance.detach() * count / max(1, count - 1))
        scale = self.weight.double() * (variance + self.eps).rsqrt()
        shift = self.bias.double() - mean * scale
        shape = (1, -1, 1, 1)
        return (wide * scale.float().view(shape) + shift.float().view(shape)).to(input.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        share = 0.1 if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
        self.running_var.lerp_(variance.to(self.running_var.dtype), share)


def synchronise_norms(module: nn.Module) -> None:
    """Let every batch norm in ``module`` use the whole batch; names of the state stay the same."""
    for part in module.modules():
        if type(part) is nn.BatchNorm2d:
            part.__class__ = SyncedBatchNorm2d
