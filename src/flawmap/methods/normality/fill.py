"""Fill a normality memory from descriptions of good images."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from flawmap.methods.normality.clusters import cluster
from flawmap.methods.normality.config import Kind, MemoryConfig
from flawmap.methods.normality.memory import nearest

_BLOCK_POINTS = 4000  # used for a block's memory
_POINTS = 40_000  # used for an unplaced memory
_BLOCKS = 640  # maximum; larger maps have larger blocks
_MARGIN = 1  # cells around a block whose features it also stores
_QUANTILE = 0.99  # quantile of the query places' distances with unfamiliarity at most one half


@dataclass(frozen=True)
class Filled:
    """A memory's prototypes (G, M, C), and the squared distance with unfamiliarity one half.

    One in a hundred places of the query images exceeds ``half_distance``, which is at least the
    configured value.
    """

    prototypes: Tensor
    half_distance: float


def fill(reference: Tensor, query: Tensor, kind: Kind, config: MemoryConfig, seed: int) -> Filled:
    """Fill a memory from two disjoint sets of good images, described by :func:`describe`.

    ``reference`` (N, C, h, w) is stored; distances of ``query`` (M, C, h, w) set the scale.
    """
    draw = torch.Generator().manual_seed(seed)
    prototypes = (
        _placed(reference, config, draw) if kind == "placed" else _shared(reference, config, draw)
    )
    distances = nearest(query, prototypes).flatten()
    rank = max(1, round(_QUANTILE * len(distances)))
    measured = float(distances.kthvalue(rank).values)
    return Filled(prototypes, max(measured, config.half_distance))


def _shared(places: Tensor, config: MemoryConfig, draw: torch.Generator) -> Tensor:
    points = _subsample(places.movedim(1, 3).reshape(-1, places.shape[1]), _POINTS, draw)
    return cluster(points, config.prototypes, config.rounds, draw)[None]


def _placed(places: Tensor, config: MemoryConfig, draw: torch.Generator) -> Tensor:
    channels, height, width = places.shape[1:]
    side = block_side(height, width, config.block)
    prototypes = []
    for top in range(0, height, side):
        for left in range(0, width, side):
            rows = slice(max(0, top - _MARGIN), top + side + _MARGIN)
            columns = slice(max(0, left - _MARGIN), left + side + _MARGIN)
            points = places[:, :, rows, columns].movedim(1, 3).reshape(-1, channels)
            points = _subsample(points, _BLOCK_POINTS, draw)
            prototypes.append(cluster(points, config.block_prototypes, config.rounds, draw))
    return torch.stack(prototypes)


def block_side(height: int, width: int, side: int) -> int:
    """Return a block's side in cells: ``side``, or more if there would be too many blocks."""
    common = math.gcd(height, width)
    sides = [one for one in range(1, common + 1) if common % one == 0]
    fit = [one for one in sides if one >= side and height * width <= _BLOCKS * one**2]
    return fit[0] if fit else common


def _subsample(points: Tensor, most: int, draw: torch.Generator) -> Tensor:
    if len(points) <= most:
        return points
    return points[torch.randperm(len(points), generator=draw)[:most].to(points.device)]
