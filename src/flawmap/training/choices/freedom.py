"""Decide where known defects are pasted and how they turn, from how the good images vary."""

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
    """Decide where pasted defects lie and how they turn, from the good images in ``rows``.

    Parts lie alike as the memory was decided on, or else by the same test.
    """
    turned = rotation.rotation == "full"
    if config.memory is not None and config.memory.kind in ("placed", "unplaced"):
        return Freedom(config.memory.kind == "placed", turned)
    if len(rows) < LEAST:
        return Freedom(placed=False, turned=turned)
    alignment = decide_alignment(tiles, rows, rotation.any_angle, stages, seed)
    return Freedom(alignment.aligned, turned)
