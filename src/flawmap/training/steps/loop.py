"""The training loop: plain torch, one step per batch, resumable at any step.

The state after step *t* depends only on the seed and *t*: batches come from a counter-based
generator, and a checkpoint stores weights, running statistics and the optimiser's buffers.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from flawmap.errors import FlawmapError
from flawmap.inspection.bundle.training_log import TRAINING_LOG, TrainingLog
from flawmap.methods.base import Method, Phase
from flawmap.methods.batch import Batch
from flawmap.methods.optimisation import build_optimisers, phase_steps, rate_factor, set_rate
from flawmap.training.steps.ahead import Batches
from flawmap.training.steps.checkpoint import (
    decode_checkpoint,
    encode_checkpoint,
    newest_checkpoint,
    pack,
    save_checkpoint,
    unpack_module,
    unpack_optimisers,
)
from flawmap.training.steps.device import autocast, exact
from flawmap.training.steps.graphs import Compute, Device, Graphed
from flawmap.training.steps.ranks import ALONE, Ranks
from flawmap.types import Precision
from flawmap.utils.signals import stopping_signals

_LOG_EVERY = 10  # steps; reading the loss more often would make a GPU wait


@dataclass(frozen=True)
class Progress:
    """Training progress, for a display."""

    step: int
    steps: int
    phase: str
    loss: float


@dataclass(frozen=True)
class Reporter:
    """Callbacks of a training for messages and for progress."""

    say: Callable[[str], None] = lambda text: None
    show: Callable[[Progress], None] = lambda progress: None


@dataclass
class Loop:
    """Training of ``method`` in ``phases`` for ``steps`` steps on ``batches``, with checkpoints."""

    method: Method
    phases: Sequence[Phase]
    batches: Batches
    steps: int
    folder: Path
    device: torch.device
    precision: Precision
    checkpoint_seconds: float = 30.0
    show: Callable[[Progress], None] = lambda progress: None
    ranks: Ranks = ALONE
    say: Callable[[str], None] = lambda text: None
    graphs: Device | None = None
    """What captures steps as graphs; None: every step is run as it is."""
    _stop: threading.Event = field(default_factory=threading.Event)

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.folder / "checkpoints"

    def run(self) -> None:
        """Train from the newest checkpoint, or from the start, to the end.

        Raises FlawmapError if interrupted (after writing a checkpoint) or if the loss is not
        finite.
        """
        done, tensors = self._resumed()
        log = TrainingLog(self.folder / TRAINING_LOG, done) if self.ranks.leads else None
        first = 0
        with _interruptible(self._stop), exact(self.device):
            counts = phase_steps([phase.config for phase in self.phases], self.steps)
            for phase, count in zip(self.phases, counts, strict=True):
                if done < first + count:
                    self._run_phase(phase, first, count, max(done, first), tensors, log)
                    tensors = {}
                first += count

    def _resumed(self) -> tuple[int, dict[str, torch.Tensor]]:
        """Restore the newest checkpoint; return its step and its tensors, 0 and none if new."""
        found = newest_checkpoint(self.checkpoints) if self.ranks.leads else None
        if self.ranks.count > 1:
            data = encode_checkpoint(found.step, found.tensors) if found else b""
            shared = self.ranks.share_bytes(data)
            found = decode_checkpoint(shared) if shared else None
        if found is None:
            return 0, {}
        unpack_module(self.method.module, found.tensors)
        return found.step, found.tensors

    def _run_phase(
        self,
        phase: Phase,
        first: int,
        count: int,
        start: int,
        tensors: dict[str, torch.Tensor],
        log: TrainingLog | None,
    ) -> None:
        self.set_modes(phase)
        optimisers = build_optimisers(phase.groups, phase.config)
        compute = self.gradients_of(phase)
        if start > first:
            unpack_optimisers(optimisers, tensors)
        saved_at = time.monotonic()
        losses: list[torch.Tensor] = []
        for step in range(start, first + count):
            set_rate(optimisers, rate_factor(phase.config, step - first, count))
            statistics = self._statistics()
            try:
                losses.append(self.step(phase, optimisers, step, compute))
            except RuntimeError as error:
                if self.ranks.count > 1:
                    self._save_alone(step, optimisers, statistics, error)
                raise
            done = step + 1
            if done % _LOG_EVERY == 0 or done == first + count:
                loss = self._mean_loss(losses, done)
                if log is not None:
                    log.write(done, phase.name, loss, len(losses) * self.batches.batch_size)
                self.show(Progress(done, self.steps, phase.name, loss))
                losses = []
            at_end = done == first + count
            if (
                self._stop.is_set()
                or at_end
                or time.monotonic() - saved_at > self.checkpoint_seconds
            ):
                # at the end of a phase its optimisers are no longer needed
                self._save(done, [] if at_end else optimisers)
                saved_at = time.monotonic()
            if self._stop.is_set():
                raise FlawmapError(
                    f"Stopped after step {done} of {self.steps}; a checkpoint is kept. "
                    "Repeat the command with --resume to continue from there."
                    if self.ranks.leads
                    else f"Process {self.ranks.rank} stopped with the others."
                )

    def _save(self, done: int, optimisers: list[torch.optim.Optimizer]) -> None:
        if self.ranks.leads:
            save_checkpoint(self.checkpoints, done, pack(self.method.module, optimisers))

    def _statistics(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Return the norms' statistics and copies of them, where another process may be lost.

        A step that is cut short has changed them, and nothing else.
        """
        if self.ranks.count == 1:
            return []
        return [(buffer, buffer.clone()) for buffer in self.method.module.buffers()]

    def _save_alone(
        self,
        done: int,
        optimisers: list[torch.optim.Optimizer],
        statistics: list[tuple[torch.Tensor, torch.Tensor]],
        error: RuntimeError,
    ) -> None:
        """Keep a checkpoint from before the step in which another process was lost."""
        for buffer, before in statistics:
            buffer.copy_(before)
        self._save(done, optimisers)
        reason = (str(error).strip().splitlines() or ["no reason given"])[0]
        raise FlawmapError(
            f"Another of the {self.ranks.count} processes was lost in step {done + 1} of "
            f"{self.steps} ({reason}); a checkpoint is kept. The same command with --resume goes "
            "on from there, with any number of processes."
        ) from error

    def step(
        self,
        phase: Phase,
        optimisers: list[torch.optim.Optimizer],
        step: int,
        compute: Compute | None = None,
    ) -> torch.Tensor:
        """Train on batch ``step`` and return the loss, still on the device.

        ``compute``: what sets the gradients, of :meth:`gradients_of`; the phase's own if None.
        """
        batch = self.batches(step)
        loss = (compute or self.gradients_of(phase))(batch)
        learned = [p for module in phase.groups for p in module.parameters()]
        mean_loss, stop = self.ranks.reduce_step(learned, loss, self._stop.is_set())
        if stop:
            self._stop.set()
        for optimiser in optimisers:
            optimiser.step()
        return mean_loss

    def gradients_of(self, phase: Phase) -> Compute:
        """Return what sets the phase's gradients to those of a batch, and returns its loss."""
        learned = [p for module in phase.groups for p in module.parameters()]

        def compute(batch: Batch) -> torch.Tensor:
            with autocast(self.device, self.precision):
                loss = phase.loss(batch)
            for parameter in learned:
                parameter.grad = None
            loss.backward()  # type: ignore[no-untyped-call]
            return loss.detach()

        return Graphed(compute, self.graphs, self.say) if self.graphs is not None else compute

    def set_modes(self, phase: Phase) -> None:
        """Put the phase's modules in training mode with gradients; freeze all others."""
        self.method.module.eval().requires_grad_(False)
        for module in phase.groups:
            module.train().requires_grad_(True)

    def _mean_loss(self, losses: list[torch.Tensor], done: int) -> float:
        loss = torch.stack(losses).float().mean().item()
        if loss != loss or loss in (float("inf"), float("-inf")):
            raise FlawmapError(
                f"The loss is not a finite number at step {done}: training diverged. "
                "Lower the learning rate, or use another --seed."
            )
        return loss


@contextmanager
def _interruptible(stop: threading.Event) -> Iterator[None]:
    """Let Ctrl-C and termination signals end training after the current step, with a checkpoint."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def request_stop(signum: int, frame: Any) -> None:
        del signum, frame
        stop.set()

    before = {s: signal.signal(s, request_stop) for s in (signal.SIGINT, *stopping_signals())}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
