"""Good images that families of anomalies are tried on, and one family at a time."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from flawmap.synthesis.anomalies import AnomalyConfig, corrupt, draw_parameters
from flawmap.synthesis.families.parts.dice import Dice
from flawmap.synthesis.families.scene import Scene
from flawmap.synthesis.families.weights import FAMILY_NAMES, LINES, NUMBERS
from flawmap.synthesis.foreground import foreground
from flawmap.utils.rng import Stream, generator

NEW = [name for name in FAMILY_NAMES if name != "texture"]


def only(family: str, **changes: object) -> AnomalyConfig:
    """A configuration that draws one family alone."""
    weights = {name: float(name == family) for name in FAMILY_NAMES}
    return AnomalyConfig(families=weights, **changes)


def grain(batch: int, height: int = 128, width: int = 128, seed: int = 0) -> Tensor:
    """Noise without structure, (B, 3, H, W)."""
    return torch.rand((batch, 3, height, width), generator=torch.Generator().manual_seed(seed))


def disc(batch: int, side: int = 128, radius: float = 34, seed: int = 0) -> Tensor:
    """A speckled disc, above the middle, on plain ground with a little grain."""
    rows, columns = np.mgrid[:side, :side] - side / 2
    on = torch.from_numpy(np.hypot(rows + 10, columns) < radius)
    noise = grain(batch, side, side, seed)
    return torch.where(on, 0.7 + 0.3 * noise, 0.2 + 0.01 * noise)


def make(
    clean: Tensor,
    config: AnomalyConfig,
    step: int = 0,
    first: Sequence[float] = (),
) -> tuple[Tensor, Tensor]:
    """Corrupted images and masks; ``first``: numbers that take the place of the first drawn."""
    rng = generator(0, Stream.ANOMALY, step)
    drawn = draw_parameters(rng, len(clean), 1, config)
    if first:
        numbers = drawn.families.numbers.copy()
        numbers[:, : len(first)] = first
        families = dataclasses.replace(drawn.families, numbers=numbers)
        drawn = dataclasses.replace(drawn, families=families)
    return corrupt(clean, grain(len(clean), *clean.shape[2:], seed=9), drawn, config)


def scene(clean: Tensor, seed: int = 0) -> Scene:
    """What a family sees of these images."""
    rng = np.random.default_rng(seed)
    return Scene(
        clean=clean,
        other=clean.roll(1, 0),
        texture=1 - clean,
        foreground=foreground(clean),
        confined=torch.ones(len(clean), 1, 1, 1),
        dice=Dice(rng.random((len(clean), NUMBERS), np.float32), clean.device),
        lattice=torch.from_numpy(rng.random((len(clean), LINES, LINES), np.float32) * 6.28),
    )
