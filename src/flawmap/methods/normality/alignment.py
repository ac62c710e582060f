"""Do parts lie alike in all images? The good images tell."""

from __future__ import annotations

import torch
from torch import Tensor

_REACH = 16  # a side's cells, over this: how many either way count as the same place
_SEEN = 20_000  # places of seen images to choose among
_ASKED = 4000  # places of unseen ones


def share_in_place(seen: Tensor, unseen: Tensor, seed: int) -> float:
    """Share of unseen images' places that look most like the same place of a seen image, in 0..1.

    ``seen`` (N, C, h, w) and ``unseen`` (M, C, h, w): what :func:`describe` gives of good images.
    The most similar place of all seen images is looked for; it is the same one where it is at most
    a sixteenth of the image away. For what is alike everywhere that happens by chance alone, to
    some 25 of 1024 places.
    """
    draw = torch.Generator().manual_seed(seed)
    points, places = _some(seen, _SEEN, draw)
    asked, homes = _some(unseen, _ASKED, draw)
    near = torch.addmm((points * points).sum(1)[None], asked, points.T, alpha=-2.0).argmin(1)
    reach = torch.tensor([max(1, side // _REACH) for side in seen.shape[-2:]], device=seen.device)
    return float(((places[near] - homes).abs() <= reach).all(1).float().mean())


def _some(images: Tensor, most: int, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """Features (n, C) drawn at random, and their places (n, 2)."""
    count, channels, height, width = images.shape
    picked = torch.randperm(count * height * width, generator=draw)[:most].to(images.device)
    rows = images.movedim(1, 3).reshape(-1, channels)[picked]
    place = picked % (height * width)
    return rows, torch.stack([place // width, place % width], 1)
