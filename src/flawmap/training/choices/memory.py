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
from flawmap.training.choices.alignment import (
    LEAST,
    Alignment,
    TileArray,
    describe_images,
    set_apart,
)
from flawmap.training.steps.device import exact

_BYTES = 256 * 2**20  # memory for the features of the stored images

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
        kind, why = "none", f"{images} good images are too few for a memory"
    elif memory.kind != "auto":
        kind, why = memory.kind, "as asked for"
    else:
        decision = alignment()
        kind, why = "placed" if decision.aligned else "none", decision.reason
    settled = memory.model_copy(update={"kind": kind})
    line = f"Memory of good images: {kind}, {why}."
    return config.model_copy(update={"memory": settled}), line


def fill_memory(method: Method, tiles: TileArray, rows: NDArray[np.int64], seed: int) -> None:
    """Fill the method's memory, if it has one, from ``rows`` of ``tiles`` (good images)."""
    config = method.config.memory
    if config is None or config.kind == "none":
        return
    network: Any = method.module
    device = next(network.parameters()).device

    def stages(images: Tensor) -> Sequence[Tensor]:
        levels: Sequence[Tensor] = network.teacher(network.normalise_image(images))
        return levels

    kind: Kind = "unplaced" if config.kind == "unplaced" else "placed"
    with torch.no_grad(), exact(device):
        query_rows, reference_rows = set_apart(rows, seed)
        query = describe_images(tiles, query_rows, stages, device)
        most = max(1, _BYTES // (query[:1].numel() * 4))
        reference = describe_images(tiles, reference_rows[:most], stages, device)
        filled = fill(reference, query, kind, config, seed)
    network.memory.keep(filled.prototypes, filled.half_distance)
