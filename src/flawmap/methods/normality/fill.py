"""Filling a normality memory from descriptions of good images."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from flawmap.methods.normality.clusters import cluster
from flawmap.methods.normality.config import Kind, MemoryConfig
from flawmap.methods.normality.memory import nearest

_BLOCK_POINTS = 4000  # that a block's memory is made of
_POINTS = 40_000  # that an unplaced memory is made of
_BLOCKS = 640  # at most: larger maps have larger blocks
_MARGIN = 1  # cells around a block whose features it remembers, too
_PEAK = 0.99  # quantile of unseen good places' distances that is unfamiliar by one half at most


@dataclass(frozen=True)
class Filled:
    """A memory's prototypes (G, M, C), and the squared distance that is unfamiliar by one half.

    ``half_distance`` is the one that one place in a hundred of unseen good images exceeds, and at
    least the configuration's.
    """

    prototypes: Tensor
    half_distance: float


def fill(seen: Tensor, unseen: Tensor, kind: Kind, config: MemoryConfig, seed: int) -> Filled:
    """From what :func:`describe` gives of good images, (N, C, h, w) twice; no image in both."""
    draw = torch.Generator().manual_seed(seed)
    prototypes = _placed(seen, config, draw) if kind == "placed" else _shared(seen, config, draw)
    distances = nearest(unseen, prototypes).flatten()
    rank = max(1, round(_PEAK * len(distances)))
    usual = float(distances.kthvalue(rank).values)
    return Filled(prototypes, max(usual, config.half_distance))


def _shared(places: Tensor, config: MemoryConfig, draw: torch.Generator) -> Tensor:
    points = _some(places.movedim(1, 3).reshape(-1, places.shape[1]), _POINTS, draw)
    return cluster(points, config.prototypes, config.rounds, draw)[None]


def _placed(places: Tensor, config: MemoryConfig, draw: torch.Generator) -> Tensor:
    channels, height, width = places.shape[1:]
    side = block_side(height, width, config.block)
    found = []
    for top in range(0, height, side):
        for left in range(0, width, side):
            rows = slice(max(0, top - _MARGIN), top + side + _MARGIN)
            columns = slice(max(0, left - _MARGIN), left + side + _MARGIN)
            points = places[:, :, rows, columns].movedim(1, 3).reshape(-1, channels)
            points = _some(points, _BLOCK_POINTS, draw)
            found.append(cluster(points, config.block_prototypes, config.rounds, draw))
    return torch.stack(found)


def block_side(height: int, width: int, side: int) -> int:
    """Cells a side of a block: ``side`` where it fits and blocks are not too many, else more."""
    common = math.gcd(height, width)
    sides = [one for one in range(1, common + 1) if common % one == 0]
    fit = [one for one in sides if one >= side and height * width <= _BLOCKS * one**2]
    return fit[0] if fit else common


def _some(points: Tensor, most: int, draw: torch.Generator) -> Tensor:
    if len(points) <= most:
        return points
    return points[torch.randperm(len(points), generator=draw)[:most].to(points.device)]
