"""A whole training run in a second: 24 striped images of 64x64, a random teacher."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from flawmap.errors import FlawmapError
from flawmap.synthesis.textures import draw_textures
from flawmap.training.steps.batches import BatchMaker
from flawmap.training.steps.loop import Loop, Progress
from flawmap.types import Rotation
from methods.tiny import SIZE, tiny_method

CPU = torch.device("cpu")
# The published rate of 0.4 on a loss summed over 32 is far too much for these few weights.
GENTLE = {
    "paper": {
        "student_phase": {"optimiser": "sgd", "learning_rates": (0.02,), "share": 0.5},
        "head_phase": {"optimiser": "sgd", "learning_rates": (0.1, 0.05), "share": 0.5},
    },
    "fast": {},
}


def tiny_images(count: int = 24) -> np.ndarray:
    """Grey stripes of random phase and light, uint8 (N, 64, 64, 3)."""
    rng = np.random.default_rng(0)
    x = np.arange(SIZE[1]) / 8 + rng.uniform(0, 1, (count, 1))
    stripes = 110 + 60 * np.sin(2 * np.pi * x) + rng.uniform(-20, 20, (count, 1))
    noisy = stripes[:, None, :, None] + rng.normal(0, 4, (count, *SIZE, 3))
    return noisy.clip(0, 255).astype(np.uint8)


def tiny_loop(
    folder: Path,
    preset: str = "fast",
    steps: int = 16,
    precision: str = "float32",
    show: Callable[[Progress], None] = lambda progress: None,
    checkpoint_seconds: float = 1e9,
    rotation: Rotation = "slight",
    **changes: object,
) -> Loop:
    """A loop as ``flawmap train`` builds it; the same seed, so the same weights to start with."""
    method = tiny_method(preset, **changes)
    method.module.to(CPU, memory_format=torch.channels_last)
    config = method.config
    batches = BatchMaker(
        tiny_images(), draw_textures(6, SIZE, 0), config.anomalies, config.batch_size,
        rotation, config.rotation_fill, 0, CPU,
    )  # fmt: skip
    phases = method.phases()
    return Loop(
        method, phases, batches, steps, folder, CPU, precision, checkpoint_seconds, show=show
    )


def weights(loop: Loop) -> dict[str, torch.Tensor]:
    """A copy of every weight and running statistic."""
    return {k: v.clone() for k, v in loop.method.module.state_dict().items()}


def stop_after(loop: Loop, step: int) -> None:
    """Ask the loop to stop once ``step`` steps are done, as a signal would, and run it."""
    make, stop = type(loop.batches).__call__, loop._stop

    class Counting:
        batch_size = loop.batches.batch_size

        def __call__(self, t: int):
            if t == step - 1:
                stop.set()
            return make(batches, t)

    batches, loop.batches = loop.batches, Counting()
    with pytest.raises(FlawmapError, match=f"Stopped after step {step} of .*--resume"):
        loop.run()
