"""Decide how known defects may vary when they are pasted: no further than good images do."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from flawmap.backbones.features import Features
from flawmap.methods.config import MethodConfig
from flawmap.synthesis.known_defects.draws import Freedom
from flawmap.training.choices.alignment import LEAST, TileArray, decide_alignment
from flawmap.training.choices.rotation import RotationDecision


def decide_freedom(
    config: MethodConfig,
    tiles: TileArray,
    rows: NDArray[np.int64],
    rotation: RotationDecision,
    stages: Callable[[Tensor], Features],
    seed: int,
) -> Freedom:
    """Decide how far pasted defects may move and turn, from the good images in ``rows``."""
    placed = _lie_alike(config, tiles, rows, rotation, stages, seed)
    return Freedom(placed, turned=rotation.rotation == "full")


def _lie_alike(
    config: MethodConfig,
    tiles: TileArray,
    rows: NDArray[np.int64],
    rotation: RotationDecision,
    stages: Callable[[Tensor], Features],
    seed: int,
) -> bool:
    """Whether parts lie alike, as the memory was decided on, or else by the same test."""
    if config.memory is not None and config.memory.kind in ("placed", "unplaced"):
        return config.memory.kind == "placed"
    if len(rows) < LEAST:
        return False
    return decide_alignment(tiles, rows, rotation.any_angle, stages, seed).aligned
