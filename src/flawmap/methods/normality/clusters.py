"""k-means: the features that stand for many."""

from __future__ import annotations

import torch
from torch import Tensor

_ROWS = 16384  # compared with all centres at once


def cluster(points: Tensor, count: int, rounds: int, draw: torch.Generator) -> Tensor:
    """Centres (count, C) of points (N, C): Lloyd's rounds from points drawn at random.

    A centre that nothing is nearest to stays where it is. Where there are fewer points than
    centres, points come again.
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
