"""A small demo whose metrics a test asserts, and the noise that determines the test's bounds.

``python benchmarks/guard.py`` trains it with several seeds, and broken in several ways with one,
and writes ``results/guard.json``, from which ``tests/test_accuracy.py`` takes its bounds. They
detect a network that learned nothing, and a synthesis that draws nothing. In so short a training
they do not detect displaced masks: the teacher-student distances still detect most defects.
"""

from __future__ import annotations

import contextlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from record import write_result

import flawmap
from flawmap.demonstration.drawing import draw_dataset
from flawmap.methods.destseg.method import DestsegMethod
from flawmap.training.steps import batches

SIZE, STEPS, BATCH = 128, 300, 4
SEEDS = range(6)
METRICS = ("image_auroc", "pixel_ap")
DEVIATIONS = 2.5  # below the mean of other seeds; the test's own seed gives the same bits each time


def measure(folder: Path, seed: int = 0) -> dict[str, float]:
    """Draw the demo's product at reduced size, train for half a minute of one core, evaluate.

    The images are the same for each seed of the training. Float32, whatever the processor has, and
    without levelling and without a memory of good images, which detects defects without having
    learned from anomalies.
    """
    data, run = folder / "data", folder / "run"
    draw_dataset(data, 0, size=SIZE, train_good=40, test_good=12, defective_per_type=4)
    flawmap.train(
        data, run, teacher="pocket", seed=seed, steps=STEPS, batch_size=BATCH,
        size=(SIZE, SIZE), rotate="none", precision="float32",
        changes={"memory.kind": "none", "levelling": 0.0},
    )  # fmt: skip
    metrics = flawmap.evaluate(run, data).metrics
    return {name: round(metrics[name], 4) for name in METRICS}


def _untrained(loss: str) -> Any:
    """Replace a loss by one that teaches nothing."""
    true: Callable[..., torch.Tensor] = getattr(DestsegMethod, loss)
    return mock.patch.object(DestsegMethod, loss, lambda *given: true(*given) * 0.0)


def _corrupting(change: Callable[..., Any]) -> Any:
    """Change the relation of corrupted image and mask."""
    true = batches.corrupt

    def changed(clean: torch.Tensor, *rest: Any) -> Any:
        return change(clean, *true(clean, *rest))

    return mock.patch.object(batches, "corrupt", changed)


BROKEN: dict[str, Callable[[], Any]] = {
    "head not trained": lambda: _untrained("head_loss"),
    "student not trained": lambda: _untrained("student_loss"),
    "masks beside the anomalies": lambda: _corrupting(
        lambda clean, corrupted, mask: (corrupted, mask.flip((2, 3)))
    ),
    "no anomalies": lambda: _corrupting(
        lambda clean, corrupted, mask: (clean, torch.zeros_like(mask))
    ),
    "anomalies without masks": lambda: _corrupting(
        lambda clean, corrupted, mask: (corrupted, torch.zeros_like(mask))
    ),
}


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def main() -> None:
    torch.set_num_threads(1)
    metrics, seconds = {}, []
    for seed in SEEDS:
        with _scratch() as folder:
            before = time.process_time()
            metrics[seed] = measure(folder, seed)
            seconds.append(time.process_time() - before)
            print(seed, metrics[seed], file=sys.stderr, flush=True)
    broken = {}
    for name, patch in BROKEN.items():
        with _scratch() as folder, patch():
            broken[name] = measure(folder)
            print(name, broken[name], file=sys.stderr, flush=True)
    spread = {}
    for name in METRICS:
        values = [one[name] for one in metrics.values()]
        mean, deviation = statistics.mean(values), statistics.stdev(values)
        spread[name] = {
            "mean": round(mean, 4),
            "deviation": round(deviation, 4),
            "lowest": min(values),
            "bound": round(mean - DEVIATIONS * deviation, 3),
        }
    write_result(
        "guard", seeds=metrics, broken=broken, spread=spread, core_seconds=round(max(seconds), 1)
    )


if __name__ == "__main__":
    main()
