"""The losses of each method's phases, in double precision, to a file.

Usage: rank_losses.py OUT FOLDER, in each process; rank 0 writes the losses as JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

from flawmap.methods.base import Method, Phase
from flawmap.methods.config import MethodConfig
from flawmap.methods.modules.parallel import synchronise_norms
from flawmap.methods.optimisation import build_optimisers
from flawmap.methods.registry import METHODS, find_preset
from flawmap.synthesis.known_defects.draws import Freedom
from flawmap.synthesis.textures import draw_textures
from flawmap.training.known_defects.bank import KnownBank
from flawmap.training.known_defects.load import KnownDefects
from flawmap.training.steps.batches import BatchMaker
from flawmap.training.steps.loop import Loop
from flawmap.training.steps.ranks import Ranks, joined_ranks
from methods.tiny import SIZE, tiny_teacher
from training.tiny import CPU, tiny_images

STEPS = 3
FLOAT = torch.Tensor.float
FAMILIES = {"texture": 1, "moved": 1, "removed": 1}
CASES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "destseg": ("destseg", "fast", {"student_width": 0.125, "head_widths": (8, 8, 8)}),
    "destseg, summed": (
        "destseg", "fast",
        {"student_width": 0.125, "head_widths": (8, 8, 8), "cosine_reduction": "sum",
         "hardness": 0.0, "anomalies": {"families": FAMILIES}},
    ),
    "adps": ("adps", "fast", {"patches": 2, "widths": (8, 8, 8)}),
    "adps, summed": (
        "adps", "fast", {"patches": 2, "widths": (8, 8, 8), "distillation_reduction": "sum"},
    ),
    "stpm": ("stpm", "fast", {}),
    "destseg with known defects": (
        "destseg", "fast", {"student_width": 0.125, "head_widths": (8, 8, 8)},
    ),
    "adps with known defects": (
        "adps", "fast",
        {"patches": 2, "widths": (8, 8, 8), "known": {"share": 0.8}},
    ),
}  # fmt: skip


def build(case: str) -> Method:
    name, preset, changes = CASES[case]
    full = find_preset(name, preset)
    small = {"size": SIZE, "batch_size": 4, "memory": None}
    config = type(full).model_validate(full.model_dump() | small | changes)
    teacher = tiny_teacher()
    torch.manual_seed(0)
    return METHODS[name](teacher, config)


class Doubled(BatchMaker):
    """The same batches in double precision, in which the order of sums hardly matters."""

    def __call__(self, step: int) -> Any:
        torch.Tensor.float = FLOAT
        batch = super().__call__(step)
        torch.Tensor.float = torch.Tensor.double  # what the networks compute in float32 on purpose
        names = ("clean", "corrupted", "mask", "real", "marked")
        values = {name: getattr(batch, name) for name in names}
        doubled = {name: None if x is None else x.double() for name, x in values.items()}
        return type(batch)(**doubled, rows=batch.rows)


def known_defects(config: MethodConfig) -> KnownBank:
    """Four noisy images of two types, one without its mask."""
    rng = np.random.default_rng(2)
    masks = np.zeros((4, *SIZE), np.uint8)
    masks[:3, 20:34, 24:40] = 1
    images = rng.integers(0, 256, (4, *SIZE, 3), np.uint8)
    types, masked = np.array([0, 0, 1, 1]), np.arange(4) < 3
    known = KnownDefects(images, masks, types, masked, ("dent", "scratch"), (*"abcd",), ())
    return KnownBank(known, config.known, Freedom(placed=False, turned=False), 0)


def losses(case: str, folder: Path, ranks: Ranks) -> list[float]:
    method = build(case)
    synchronise_norms(method.module)
    method.module.double()
    config = method.config
    batches = Doubled(
        tiny_images(), draw_textures(6, SIZE, 0), config.anomalies, 4, "none",
        config.rotation_fill, 0, CPU, ranks,
        known=known_defects(config) if "known" in case else None,
    )  # fmt: skip
    loop = Loop(method, method.phases(), batches, STEPS, folder, CPU, "float32", 1e9, ranks=ranks)
    with mock.patch.object(torch.Tensor, "float", FLOAT):  # what Doubled changes ends here
        return [loss for phase in method.phases() for loss in phase_losses(loop, phase)]


def phase_losses(loop: Loop, phase: Phase) -> list[float]:
    loop.set_modes(phase)
    optimisers = build_optimisers(phase.groups, phase.config)
    return [float(loop.step(phase, optimisers, step)) for step in range(STEPS)]


if __name__ == "__main__":
    torch.set_num_threads(1)
    with joined_ranks("cpu") as ranks:
        found = {case: losses(case, Path(sys.argv[2]), ranks) for case in CASES}
        if ranks.leads:
            Path(sys.argv[1]).write_text(json.dumps(found), encoding="utf-8")
