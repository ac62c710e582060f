"""How known defects may vary when they are shown: no further than the good images do."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from flawmap.backbones.features import Features
from flawmap.methods.config import MethodConfig
from flawmap.synthesis.known_defects.draws import Freedom
from flawmap.training.choices.alignment import LEAST, decide_alignment
from flawmap.training.choices.rotation import RotationDecision
from flawmap.training.good_images.load import GoodImages
from flawmap.training.known_defects.bank import KnownBank
from flawmap.training.known_defects.load import KnownDefects


def known_bank(
    defects: KnownDefects,
    config: MethodConfig,
    images: GoodImages,
    rotation: RotationDecision,
    stages: Callable[[Tensor], Features],
    seed: int,
    first_step: int,
) -> KnownBank:
    """Return the defects as batches show them from ``first_step`` on."""
    placed = _lie_alike(config, images, rotation, stages, seed)
    freedom = Freedom(placed, turned=rotation.rotation == "full")
    return KnownBank(defects, config.known, freedom, first_step)


def _lie_alike(
    config: MethodConfig,
    images: GoodImages,
    rotation: RotationDecision,
    stages: Callable[[Tensor], Features],
    seed: int,
) -> bool:
    """Whether parts lie alike, as the memory was decided on, or else by the same test."""
    if config.memory is not None and config.memory.kind in ("placed", "unplaced"):
        return config.memory.kind == "placed"
    rows = images.train_rows
    if len(rows) < LEAST:
        return False
    tiles = images.loaded.array
    return decide_alignment(tiles, rows, rotation.any_angle, stages, seed).aligned
