"""Decide whether parts are aligned in all good images, as a placed memory requires."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flawmap.data.tiles import Tiles
from flawmap.methods.normality.alignment import share_in_place
from flawmap.methods.normality.memory import describe
from flawmap.utils.rng import Stream, generator

LEAST = 8  # fewest good images for a decision
_QUERY_SHARE = 5  # one good image in five is a query, compared with the others
_QUERIES = 20  # maximum number of queries
_COMPARED = 60  # good images that the queries are compared with
_TOGETHER = 8  # images per batch through the teacher
# Parts count as aligned from this share of places that match the same place of another good image
# best (benchmarks/results/alignment.json): upright parts measure 0.89 and 0.99, screws at every
# angle in the middle of the image 0.68, cloth 0.43, roads 0.30, castings 0.16.
_LIMIT = 0.7

TileArray = NDArray[np.uint8] | Tiles
Stages = Callable[[Tensor], Sequence[Tensor]]  # from images (B, 3, H, W) in 0..1


@dataclass(frozen=True)
class Alignment:
    """Whether parts are aligned, and a clause with the reason."""

    aligned: bool
    reason: str


def decide_alignment(
    tiles: TileArray, rows: NDArray[np.int64], any_angle: bool, stages: Stages, seed: int
) -> Alignment:
    """Compare the rows ``rows`` of ``tiles``, which show good images, place by place.

    ``stages`` returns the teacher's stages for images in 0..1. Tiles, parts at any angle and fewer
    than 8 images count as not aligned, without a comparison.
    """
    if len(rows) < LEAST:
        return Alignment(False, f"as {len(rows)} good images are too few to compare")
    if isinstance(tiles, Tiles):
        return Alignment(False, "as a tile may show any place of a part")
    if any_angle:
        return Alignment(False, "as parts lie at any angle")
    query_rows, reference_rows = set_apart(rows, seed)
    device = torch.device("cpu")
    with torch.no_grad():
        query = describe_images(tiles, query_rows, stages, device)
        reference = describe_images(tiles, reference_rows[:_COMPARED], stages, device)
        share = share_in_place(reference, query, seed)
    aligned = share >= _LIMIT
    return Alignment(
        aligned,
        f"as {100 * share:.0f} % of places match the same place of another good image best "
        f"(limit {100 * _LIMIT:.0f} %)",
    )


def set_apart(rows: NDArray[np.int64], seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split ``rows`` at random into a few queries and the reference images."""
    order = rows[generator(seed, Stream.MEMORY).permutation(len(rows))]
    count = max(1, min(_QUERIES, len(rows) // _QUERY_SHARE))
    return order[:count], order[count:]


def describe_images(
    tiles: TileArray, rows: NDArray[np.int64], stages: Stages, device: torch.device
) -> Tensor:
    """Compute the features (N, C, h, w) that a memory stores and compares."""
    features = []
    for first in range(0, len(rows), _TOGETHER):
        batch = np.ascontiguousarray(tiles[rows[first : first + _TOGETHER]])
        images = torch.from_numpy(batch).to(device).permute(0, 3, 1, 2).float() / 255.0
        features.append(describe(stages(images)))
    return torch.cat(features)
