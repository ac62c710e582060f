"""Families by name, and their application to a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from flawmap.synthesis.families.area import area
from flawmap.synthesis.families.eaten import eaten
from flawmap.synthesis.families.faint import faint
from flawmap.synthesis.families.moved import moved
from flawmap.synthesis.families.parts.dice import Dice
from flawmap.synthesis.families.removed import removed
from flawmap.synthesis.families.scene import Scene
from flawmap.synthesis.families.scratch import scratch
from flawmap.synthesis.families.weights import FAMILY_NAMES, FamilyDraws

Family = Callable[[Scene], tuple[Tensor, Tensor]]
"""Maps samples to changed images (B, 3, H, W) and bool masks (B, 1, H, W) of visible changes."""

FAMILIES: Mapping[str, Family] = {
    "faint": faint,
    "moved": moved,
    "removed": removed,
    "area": area,
    "scratch": scratch,
    "eaten": eaten,
}


def change_by_family(
    clean: Tensor, textures: Tensor, part: Tensor, confined: np.ndarray, draws: FamilyDraws
) -> Iterator[tuple[np.ndarray, Tensor, Tensor]]:
    """Yield sample indices, images and masks for each family except the texture family.

    ``clean`` and ``textures`` (B, 3, H, W) in 0..1, ``part`` (B, 1, H, W) bool, ``confined`` (B,)
    bool. Outside the masks, images may differ invisibly.
    """
    other = clean.roll(1, 0)
    for name, family in FAMILIES.items():
        rows = np.flatnonzero(draws.family == FAMILY_NAMES.index(name))
        if len(rows):
            dice = Dice(draws.numbers[rows], clean.device)
            scene = Scene(
                clean=take(clean, rows),
                other=take(other, rows),
                texture=take(textures, rows),
                foreground=take(part, rows),
                confined=dice.weight(confined[rows]),
                dice=dice,
                lattice=dice.to(draws.lattice[rows]),
            )
            yield rows, *family(scene)


def take(x: Tensor, rows: np.ndarray) -> Tensor:
    """Select rows of a tensor; a single row is not copied."""
    if len(rows) == 1:
        return x[rows[0] : rows[0] + 1]
    return torch.stack([x[i] for i in rows])
