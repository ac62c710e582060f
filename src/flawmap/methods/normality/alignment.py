"""Test on the good images whether parts are aligned across images."""

from __future__ import annotations

import torch
from torch import Tensor

_REACH = 16  # within a side's cells divided by this, either way, counts as the same place
_SEEN = 20_000  # candidate places in seen images
_ASKED = 4000  # query places in unseen images


def share_in_place(seen: Tensor, unseen: Tensor, seed: int) -> float:
    """Return the share, in 0..1, of unseen places whose best match lies at the same place.

    ``seen`` (N, C, h, w) and ``unseen`` (M, C, h, w): output of :func:`describe` for good images.
    The best match is the most similar place of all seen images; it is the same place if it is at
    most a sixteenth of the image away. On images that look alike everywhere this happens by chance,
    for some 25 of 1024 places.
    """
    draw = torch.Generator().manual_seed(seed)
    points, places = _some(seen, _SEEN, draw)
    asked, homes = _some(unseen, _ASKED, draw)
    near = torch.addmm((points * points).sum(1)[None], asked, points.T, alpha=-2.0).argmin(1)
    reach = torch.tensor([max(1, side // _REACH) for side in seen.shape[-2:]], device=seen.device)
    return float(((places[near] - homes).abs() <= reach).all(1).float().mean())


def _some(images: Tensor, most: int, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw features (n, C) at random, with their places (n, 2)."""
    count, channels, height, width = images.shape
    picked = torch.randperm(count * height * width, generator=draw)[:most].to(images.device)
    rows = images.movedim(1, 3).reshape(-1, channels)[picked]
    place = picked % (height * width)
    return rows, torch.stack([place // width, place % width], 1)
