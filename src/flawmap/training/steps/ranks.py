"""Several processes that train one model: ``torchrun --nproc-per-node N -m flawmap train ...``.

Process (rank) *r* of *n* trains on slice *r* of every batch. All hold the same weights and
optimiser state: they start equal, and each step applies the same averaged gradients. Rank 0 alone
reports, logs, and writes to the run folder.
"""

from __future__ import annotations

import contextlib
import datetime
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from flawmap.errors import UsageError

_CPU = torch.device("cpu")
_TIMEOUT = datetime.timedelta(hours=2)  # rank 0 calibrates while the others wait


@dataclass(frozen=True)
class Ranks:
    """This process's place among those that train together; the default is a single process."""

    rank: int = 0
    count: int = 1
    device: torch.device = _CPU
    """Where messages are sent from: NCCL takes tensors on the GPU only."""

    @property
    def leads(self) -> bool:
        """Whether this process reports and writes."""
        return self.rank == 0

    def slice_of(self, batch: int) -> slice:
        """Return this process's part of a batch; UsageError if it cannot be shared equally."""
        if batch % self.count:
            raise UsageError(
                f"A batch of {batch} cannot be shared equally by {self.count} processes: give "
                f"--batch-size {-(-batch // self.count) * self.count}, or another --nproc-per-node."
            )
        share = batch // self.count
        return slice(self.rank * share, (self.rank + 1) * share)

    def reduce_step(
        self, parameters: Sequence[Tensor], loss: Tensor, stop: bool
    ) -> tuple[Tensor, bool]:
        """Average gradients in place, and the loss; stop if any process was told to.

        One message a step: gradients, loss and the wish to stop travel in one vector.
        """
        if self.count == 1:
            return loss, stop
        gradients = [p.grad for p in parameters if p.grad is not None]
        extra = torch.stack([loss.float(), loss.new_tensor(float(stop), dtype=torch.float32)])
        flat = torch.cat([*(g.reshape(-1).float() for g in gradients), extra])
        dist.all_reduce(flat)
        flat /= self.count
        parts = torch.split(flat, [*(g.numel() for g in gradients), 2])
        for gradient, part in zip(gradients, parts[:-1], strict=True):
            gradient.copy_(part.view(gradient.shape))
        return parts[-1][0], bool(parts[-1][1] > 0)

    def share(self, tensors: Sequence[Tensor]) -> None:
        """Overwrite ``tensors`` of all processes with those of rank 0."""
        if self.count > 1:
            for tensor in tensors:
                whole = tensor.contiguous()
                dist.broadcast(whole, 0)
                tensor.copy_(whole)

    def share_bytes(self, data: bytes) -> bytes:
        """Return rank 0's ``data`` in every process."""
        if self.count == 1:
            return data
        size = torch.tensor([len(data)], device=self.device)
        dist.broadcast(size, 0)
        held = torch.zeros(int(size), dtype=torch.uint8)
        if self.leads:
            held = torch.from_numpy(np.frombuffer(data, np.uint8).copy())
        held = held.to(self.device)
        dist.broadcast(held, 0)
        return held.cpu().numpy().tobytes()

    def agree(self, decision: bool) -> bool:
        """Return rank 0's ``decision`` in every process."""
        return bool(self.share_bytes(b"yes" if decision else b""))

    def wait(self) -> None:
        """Return once every process is here."""
        if self.count > 1:
            dist.barrier()


ALONE = Ranks()


@contextlib.contextmanager
def joined_ranks(device: str) -> Iterator[Ranks]:
    """Join the processes that torchrun started; yield this one's place among them.

    A process that was not started by torchrun, or alone, is a single one. A process group that the
    caller has set up is used and kept.
    """
    if dist.is_available() and dist.is_initialized():
        yield _place()
        return
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield ALONE
        return
    on_gpu = device != "cpu" and torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if on_gpu else "gloo", timeout=_TIMEOUT)
    try:
        yield _place()
    finally:
        dist.destroy_process_group()


def _place() -> Ranks:
    kind = "cuda" if dist.get_backend() == "nccl" else "cpu"
    return Ranks(dist.get_rank(), dist.get_world_size(), torch.device(kind))
