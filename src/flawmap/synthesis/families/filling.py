"""Fill holes in an image with their surroundings or with the background."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from flawmap.synthesis.families.parts.pixels import cells, closed, difference, enlarged, near, wider
from flawmap.synthesis.families.parts.visible import FLOOR
from flawmap.synthesis.families.scene import Scene

_CELL = 4  # side in pixels of the cells used to fill holes
_CANDIDATES = 8
_DETAILED = 0.65  # share of the holes that are filled with detail
_AVOIDED = 10.0  # penalty, in grey levels of 0..1, of a place that holds the part
_TOLERATED = 0.01  # share of the hole
_STANDS_OUT = 0.3  # share of the part's greatest difference from the background


def spread(values: Tensor, known: Tensor) -> Tensor:
    """Fill in ``values`` (B, C, H, W) smoothly where ``known`` (B, 1, H, W), 0 or 1, is 0.

    Use means over larger and larger cells, each weighted by its known share. Return zeros if
    nothing is known.
    """
    if max(values.shape[-2:]) == 1:
        return values * known
    means, some = _known_means(values, known, _CELL)
    wide = enlarged(spread(means, some), (values.shape[-2], values.shape[-1]))
    return torch.lerp(wide, values, known)


def fill(scene: Scene, hole: Tensor, through: Tensor, chance: np.ndarray) -> Tensor:
    """Return images (B, 3, H, W) with plausible content in ``hole`` (B, 1, H, W), 0 or 1.

    Either the image around the hole is spread into it, which is smooth; or another place is copied
    into it, with its detail, and only the difference to the surroundings is spread. Where
    ``through`` (B, 1, 1, 1), 0 or 1, is 1, that place must not contain the part. ``chance`` (B,) in
    0..1 selects between the two. Outside the hole the returned images are smoothed.
    """
    detailed = chance < _DETAILED
    elsewhere = torch.zeros_like(scene.clean)
    if detailed.any():
        moved, fits = _elsewhere(scene, hole, through)
        elsewhere = moved * (scene.dice.weight(detailed) * fits)
    gap, some = _known_means(scene.clean - elsewhere, 1 - hole, _CELL)
    return (elsewhere + enlarged(spread(gap, some), scene.size)).clamp_(0, 1)


def outline(scene: Scene, background: Tensor) -> Tensor:
    """Return the part, bool (B, 1, H, W): it differs from ``background``, the image without it.

    Gaps in it and the inside of the foreground also count as the part. Empty if the part has no
    background.
    """
    unlike = near(difference(scene.clean, background)) * scene.part
    limit = _STANDS_OUT * unlike.amax((2, 3), keepdim=True)
    part_mask = unlike > limit
    deep = ~wider(wider(cells(scene.part, _CELL) < 0.5))
    coarse = (closed(cells(part_mask.float(), _CELL) > 0.5) | deep).float()
    part_mask = closed(part_mask) | (enlarged(coarse, scene.size) > 0.5)
    return part_mask & scene.stands_free & (limit > FLOOR)


def shift_mirrored(images: Tensor, down: Tensor, across: Tensor) -> Tensor:
    """Shift images (B, C, H, W) by whole pixels, mirrored at the border.

    Place (y, x) shows the content of (y + down, x + across); both (B, 1, 1, 1) float.
    """
    height, width = images.shape[-2:]
    rows = _mirrored(height, down.flatten()[:, None])  # (B, H)
    columns = _mirrored(width, across.flatten()[:, None])  # (B, W)
    moved = [
        image.index_select(1, row).index_select(2, column)
        for image, row, column in zip(images, rows, columns, strict=True)
    ]
    return torch.stack(moved)


def _known_means(values: Tensor, known: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Return means of the known values per cell, and 0 or 1: whether any is known."""
    weight = cells(known, side)
    return cells(values * known, side) / weight.clamp(min=1e-6), (weight > 0).float()


def _mirrored(count: int, offset: Tensor) -> Tensor:
    """Return the numbers 0..count-1, each plus ``offset`` (..., 1), mirrored at both ends."""
    place = (torch.arange(count, device=offset.device) + offset.long()) % (2 * count)
    return torch.minimum(place, 2 * count - 1 - place)


def _elsewhere(scene: Scene, hole: Tensor, through: Tensor) -> tuple[Tensor, Tensor]:
    """Shift the image so that another place lies in the hole; also return whether one fits.

    Of eight places, choose the one whose surroundings are most similar to the hole's and whose
    inside is least similar; where ``through``, the one that contains least of the part.
    """
    small = cells(torch.cat([scene.clean.mean(1, keepdim=True), scene.part], 1), _CELL)
    inner = cells(hole, _CELL)
    ring = F.max_pool2d(inner, 5, 1, 2) * (1 - inner)
    h, w = small.shape[-2:]
    draws = scene.random(1).flatten(1)[:, : 2 * _CANDIDATES] / math.pi - 1
    down = (draws[:, :_CANDIDATES] * h).floor()  # (B, 8) cells
    across = (draws[:, _CANDIDATES:] * w).floor()
    rows, columns = _mirrored(h, down[..., None]), _mirrored(w, across[..., None])
    sample = torch.arange(len(small), device=small.device)[:, None, None, None]
    moved = small.permute(0, 2, 3, 1)[sample, rows[..., None], columns[:, :, None]]
    unlike = (moved[..., 0] - small[:, :1]).abs()  # (B, 8, h, w)
    foreign = _mean(moved[..., 1], inner) * through[:, :, 0, 0]
    cost = _mean(unlike, ring) - _mean(unlike, inner) + _AVOIDED * foreign
    best = cost.argmin(1, keepdim=True)
    shift = [x.gather(1, best)[:, :, None, None] * _CELL for x in (down, across)]
    fits = foreign.gather(1, best)[:, :, None, None] < _TOLERATED
    return shift_mirrored(scene.clean, shift[0], shift[1]), fits


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    """Return the mean (B, N) of ``values`` (B, N, h, w) under ``weight`` (B, 1, h, w)."""
    total = weight.sum((2, 3)).clamp(min=1e-6)
    return (values * weight).sum((2, 3)) / total
