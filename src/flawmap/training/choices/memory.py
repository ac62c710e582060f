"""Decide whether a memory suits the good images, and fill it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flawmap.methods.base import Method
from flawmap.methods.config import MethodConfig
from flawmap.methods.normality.config import Kind
from flawmap.methods.normality.fill import fill
from flawmap.training.choices.alignment import LEAST, Alignment, Windows, describe_images, set_apart
from flawmap.training.steps.device import exact

_BYTES = 256 * 2**20  # of features held at once

Config = TypeVar("Config", bound=MethodConfig)


def decide_memory(
    config: Config, images: int, alignment: Callable[[], Alignment]
) -> tuple[Config, str | None]:
    """Return the configuration with the memory kind that suits this many good ``images``.

    "auto" becomes "placed" if parts are aligned, else "none". The second value is a line for the
    user, None if no memory was asked for.
    """
    memory = config.memory
    if memory is None or memory.kind == "none":
        return config, None
    if images < LEAST:
        kind, why = "none", f"{images} good images are too few to remember"
    elif memory.kind != "auto":
        kind, why = memory.kind, "as asked for"
    else:
        found = alignment()
        kind, why = "placed" if found.alike else "none", found.reason
    settled = memory.model_copy(update={"kind": kind})
    line = f"Memory of good images: {kind}, {why}."
    return config.model_copy(update={"memory": settled}), line


def fill_memory(trained: Method, windows: Windows, rows: NDArray[np.int64], seed: int) -> None:
    """Fill the method's memory, if it has one, from the good images ``rows`` of ``windows``."""
    config = trained.config.memory
    if config is None or config.kind == "none":
        return
    module: Any = trained.module
    device = next(module.parameters()).device

    def stages(images: Tensor) -> Sequence[Tensor]:
        found: Sequence[Tensor] = module.teacher(module.normalise_image(images))
        return found

    kind: Kind = "unplaced" if config.kind == "unplaced" else "placed"
    with torch.no_grad(), exact(device):
        some, others = set_apart(rows, seed)
        unseen = describe_images(windows, some, stages, device)
        most = max(1, _BYTES // (unseen[:1].numel() * 4))
        seen = describe_images(windows, others[:most], stages, device)
        filled = fill(seen, unseen, kind, config, seed)
    module.memory.keep(filled.prototypes, filled.half_distance)
