"""Do parts lie alike? Of images made so that the answer is known."""

from __future__ import annotations

import pytest
import torch

from flawmap.methods.normality.alignment import share_in_place


def one_part(count: int, shift: int, seed: int) -> torch.Tensor:
    """A pattern of noise (1, 12, 16, 16), noisier each time and moved by up to ``shift`` cells."""
    pattern = torch.randn(1, 12, 16, 16, generator=torch.Generator().manual_seed(99))
    draw = torch.Generator().manual_seed(seed)
    noise = 0.3 * torch.randn(count, 12, 16, 16, generator=draw)
    moves = torch.randint(-shift, shift + 1, (count, 2), generator=draw).tolist()
    return torch.cat([pattern.roll(tuple(move), (2, 3)) for move in moves]) + noise


@pytest.mark.parametrize(("shift", "low", "high"), [(0, 0.95, 1.0), (8, 0.0, 0.5)])
def test_parts_that_lie_alike_and_parts_that_do_not(shift: int, low: float, high: float):
    assert low <= share_in_place(one_part(20, shift, 0), one_part(5, shift, 1), 0) <= high


def test_where_all_places_look_alike_it_is_chance():
    seen, unseen = (
        torch.randn(20, 6, 16, 16, generator=torch.Generator().manual_seed(s)) for s in (0, 1)
    )
    assert share_in_place(seen, unseen, 0) == pytest.approx(9 / 256, abs=0.02)
