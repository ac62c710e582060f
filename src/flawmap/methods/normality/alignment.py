"""Test whether parts are aligned across the good images."""

from __future__ import annotations

import torch
from torch import Tensor

_REACH = 16  # places at most a side divided by this apart, either way, count as the same
_REFERENCES = 20_000  # places drawn from the reference images
_QUERIES = 4000  # places drawn from the query images


def share_in_place(reference: Tensor, query: Tensor, seed: int) -> float:
    """Return the share, in 0..1, of query places whose best match lies at the same place.

    ``reference`` (N, C, h, w) and ``query`` (M, C, h, w): good images by :func:`describe`. The best
    match is the most similar place of all reference images; it is the same place if it is at most
    a sixteenth of the image away. On uniform images this happens by chance, for some 25 of 1024
    places.
    """
    draw = torch.Generator().manual_seed(seed)
    points, places = _sample(reference, _REFERENCES, draw)
    queries, query_places = _sample(query, _QUERIES, draw)
    near = torch.addmm((points * points).sum(1)[None], queries, points.T, alpha=-2.0).argmin(1)
    reach = torch.tensor(
        [max(1, side // _REACH) for side in reference.shape[-2:]], device=reference.device
    )
    return float(((places[near] - query_places).abs() <= reach).all(1).float().mean())


def _sample(images: Tensor, most: int, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw features (n, C) at random, with their places (n, 2)."""
    count, channels, height, width = images.shape
    picked = torch.randperm(count * height * width, generator=draw)[:most].to(images.device)
    rows = images.movedim(1, 3).reshape(-1, channels)[picked]
    place = picked % (height * width)
    return rows, torch.stack([place // width, place % width], 1)
