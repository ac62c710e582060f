"""A memory of good images: whether it suits them, and filling it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flawmap.datasets.tiles import Tiles
from flawmap.methods.base import Method
from flawmap.methods.config import MethodConfig
from flawmap.methods.normality.alignment import share_in_place
from flawmap.methods.normality.config import Kind
from flawmap.methods.normality.fill import fill
from flawmap.methods.normality.memory import describe
from flawmap.rng import Stream, generator
from flawmap.training.batches import Rotation
from flawmap.training.device import exact

_LEAST = 8  # good images below which nothing can be told
_UNSEEN_SHARE = 5  # of them one in five tells how familiar good images are
_UNSEEN = 20  # but as many at most
_LOOKED_AT = 60  # good images that tell whether parts lie alike
_BYTES = 256 * 2**20  # of descriptions that are held at once
_TOGETHER = 8  # images that go through the teacher
# Share of places that look most like the same place of another good image, from which on parts lie
# alike (benchmarks/results/alignment.json): upright parts measure 0.89 and 0.99, screws at every
# angle in the middle of the image 0.68, cloth 0.43, roads 0.30, castings 0.16.
_ALIKE = 0.7

Windows = NDArray[np.uint8] | Tiles
Stages = Callable[[Tensor], Sequence[Tensor]]  # of images (B, 3, H, W) in 0..1
Config = TypeVar("Config", bound=MethodConfig)


def decide_memory(
    config: Config,
    windows: Windows,
    rows: NDArray[np.int64],
    rotation: Rotation,
    stages: Stages,
    seed: int,
) -> tuple[Config, str | None]:
    """The configuration with the memory that suits the good images ``rows`` of ``windows``.

    Where it says "auto", that is a placed one where parts lie alike, else none. The second is a
    line for a person, None where no memory was asked for.
    """
    memory = config.memory
    if memory is None:
        return config, None
    if len(rows) < _LEAST:
        kind, why = None, f"{len(rows)} good images are too few to remember"
    elif memory.kind != "auto":
        kind, why = memory.kind, "as asked for"
    elif isinstance(windows, Tiles):
        kind, why = None, "tiles may show any place of a part"
    elif rotation == "full":
        kind, why = None, "parts lie at any angle"
    else:
        kind, why = _alike(windows, rows, stages, seed)
    line = f"Memory of good images: {kind or 'none'}, {why}."
    settled = None if kind is None else memory.model_copy(update={"kind": kind})
    return config.model_copy(update={"memory": settled}), line


def fill_memory(trained: Method, windows: Windows, rows: NDArray[np.int64], seed: int) -> None:
    """Fill the method's memory, if it has one, from the good images ``rows`` of ``windows``."""
    config = trained.config.memory
    if config is None:
        return
    module: Any = trained.module
    device = next(module.parameters()).device

    def stages(images: Tensor) -> Sequence[Tensor]:
        found: Sequence[Tensor] = module.teacher(module.normalise_image(images))
        return found

    kind: Kind = "unplaced" if config.kind == "unplaced" else "placed"
    with torch.no_grad(), exact(device):
        some, others = _apart(rows, seed)
        unseen = _describe(windows, some, stages, device)
        most = max(1, _BYTES // (unseen[:1].numel() * 4))
        seen = _describe(windows, others[:most], stages, device)
        filled = fill(seen, unseen, kind, config, seed)
    module.memory.keep(filled.prototypes, filled.usual)


def _alike(
    windows: Windows, rows: NDArray[np.int64], stages: Stages, seed: int
) -> tuple[Kind | None, str]:
    some, others = _apart(rows, seed)
    device = torch.device("cpu")
    with torch.no_grad():
        unseen = _describe(windows, some, stages, device)
        seen = _describe(windows, others[:_LOOKED_AT], stages, device)
        share = share_in_place(seen, unseen, seed)
    kind: Kind | None = "placed" if share >= _ALIKE else None
    return kind, (
        f"as parts {'' if kind else 'do not '}lie alike: {100 * share:.0f} % of places look most "
        f"like the same place of another good image (limit {100 * _ALIKE:.0f} %)"
    )


def _apart(rows: NDArray[np.int64], seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Some images that a memory does not see, and the others, at random."""
    order = rows[generator(seed, Stream.MEMORY).permutation(len(rows))]
    count = max(1, min(_UNSEEN, len(rows) // _UNSEEN_SHARE))
    return order[:count], order[count:]


def _describe(
    windows: Windows, rows: NDArray[np.int64], stages: Stages, device: torch.device
) -> Tensor:
    """What a memory knows images by, (N, C, h, w)."""
    found = []
    for first in range(0, len(rows), _TOGETHER):
        some = np.ascontiguousarray(windows[rows[first : first + _TOGETHER]])
        images = torch.from_numpy(some).to(device).permute(0, 3, 1, 2).float() / 255.0
        found.append(describe(stages(images)))
    return torch.cat(found)
