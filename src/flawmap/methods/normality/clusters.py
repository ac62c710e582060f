"""k-means clustering of features."""

from __future__ import annotations

import torch
from torch import Tensor

_ROWS = 16384  # rows compared with all centres at once


def cluster(points: Tensor, count: int, rounds: int, draw: torch.Generator) -> Tensor:
    """Return centres (count, C) of points (N, C) by Lloyd's rounds from randomly drawn points.

    A centre to which no point is nearest stays in place. If there are fewer points than centres,
    points are repeated.
    """
    order = torch.randperm(len(points), generator=draw).to(points.device)
    centres = points[order.repeat(-(-count // len(points)))[:count]].clone()
    for _ in range(rounds):
        sums = torch.zeros_like(centres)
        members = torch.zeros(count, device=points.device)
        for some in torch.split(points, _ROWS):
            near = torch.addmm((centres * centres).sum(1)[None], some, centres.T, alpha=-2.0)
            chosen = near.argmin(1)
            sums.index_add_(0, chosen, some)
            members.index_add_(0, chosen, torch.ones(len(some), device=points.device))
        taken = members > 0
        centres[taken] = sums[taken] / members[taken, None]
    return centres
