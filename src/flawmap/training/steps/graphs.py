"""Loss and gradients of a step as a CUDA graph: recorded once for each phase, then replayed.

A small network's step is thousands of short kernels, and starting them one by one takes longer than
they run. A graph starts them all at once. They are the same kernels in the same order, so the
results are the same bits with and without it; torch.compile, which writes kernels of its own, gives
others, needs a compiler on the machine, and renames the weights (``_orig_mod.``).

Batches are made, and optimisers run, outside the graph: families of anomalies differ from batch to
batch, and a captured optimiser would keep the learning rate of the step it was captured in.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from flawmap.methods.batch import Batch

Compute = Callable[[Batch], Tensor]
"""Set the gradients of a batch anew, and return its loss, detached."""
WARM_UP = 3  # ordinary steps before the capture, in which libraries choose kernels and workspaces


class Device(Protocol):
    """What a device does with a graph; tests have one without a GPU."""

    def aside(self, work: Callable[[], Tensor]) -> Tensor:
        """Run ``work`` as capturing will, and return its result."""

    def capture(self, work: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
        """Record ``work`` without running it; return what runs it, and where its result will be."""


class Cuda:
    """Graphs of an NVIDIA GPU."""

    def aside(self, work: Callable[[], Tensor]) -> Tensor:
        """Run ``work`` on a side stream, between what came before and what follows."""
        here, side = torch.cuda.current_stream(), torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(here)
        with torch.cuda.stream(side):
            result = work()
        here.wait_stream(side)
        return result

    def capture(self, work: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
        """Capture ``work``; RuntimeError if it waits for the device or cannot be captured."""
        graph = torch.cuda.CUDAGraph()
        # only this thread's calls are checked: another one pins the next batch's memory meanwhile
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            result = work()
        return graph.replay, result


def choose_graphs(device: torch.device, *, asked: bool, alone: bool) -> Device | None:
    """Return what captures steps: CUDA on a GPU, if asked for and in a single process; else None.

    Processes that train together reduce gradients and norms between kernels, which is not captured.
    """
    return Cuda() if asked and alone and device.type == "cuda" else None


class Graphed:
    """``compute`` of one phase, replayed as a graph after :data:`WARM_UP` ordinary steps.

    The first steps are real ones, on batches of their own, so nothing is computed twice and a
    resumed training does the same steps. If the capture fails, ``say`` gets a line, and the phase
    goes on without a graph.
    """

    def __init__(self, compute: Compute, device: Device, say: Callable[[str], None]) -> None:
        self._compute = compute
        self._device = device
        self._say = say
        self._steps = 0
        self._failed = False
        self._inputs: Batch | None = None
        self._replay: Callable[[], None] | None = None
        self._loss: Tensor | None = None

    def __call__(self, batch: Batch) -> Tensor:
        """Set the gradients of ``batch`` and return its loss, a tensor of this step alone."""
        self._steps += 1
        if self._failed:
            return self._compute(batch)
        if self._steps <= WARM_UP:
            return self._device.aside(lambda: self._compute(batch))
        if self._replay is None and not self._captured(batch):
            return self._compute(batch)
        return self._replayed(batch)

    def _captured(self, batch: Batch) -> bool:
        """Capture the step with copies of ``batch`` as its inputs; return whether it worked."""
        inputs = _map(torch.clone, batch)
        try:
            replay, loss = self._device.capture(lambda: self._compute(inputs))
        except RuntimeError as error:
            self._failed = True
            reason = (str(error).strip().splitlines() or ["no reason given"])[0]
            self._say(f"No CUDA graph is used ({reason}); results are the same, steps take longer.")
            return False
        self._inputs, self._replay, self._loss = inputs, replay, loss
        return True

    def _replayed(self, batch: Batch) -> Tensor:
        assert self._inputs is not None
        assert self._replay is not None
        assert self._loss is not None
        for name in _TENSORS:
            value = getattr(batch, name)
            if value is not None:
                getattr(self._inputs, name).copy_(value, non_blocking=True)
        self._replay()
        return self._loss.clone()  # the next replay overwrites it


_TENSORS = ("clean", "corrupted", "mask", "real", "marked")


def _map(change: Callable[[Tensor], Tensor], batch: Batch) -> Batch:
    """Return the batch with changed tensors, and without row numbers, which no graph can read."""
    values = {name: getattr(batch, name) for name in _TENSORS}
    tensors = {name: change(x) for name, x in values.items() if x is not None}
    return dataclasses.replace(batch, rows=None, **tensors)
