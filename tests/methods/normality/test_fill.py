"""What a memory holds: of which places, and how many."""

from __future__ import annotations

import pytest
import torch

from flawmap.methods.normality.config import MemoryConfig
from flawmap.methods.normality.fill import block_side, fill
from flawmap.methods.normality.memory import nearest


def ramps(count: int, seed: int) -> torch.Tensor:
    """Images (count, 2, 8, 8) whose features are their own places, with a little noise."""
    place = torch.stack(torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij"))
    noise = torch.randn(count, 2, 8, 8, generator=torch.Generator().manual_seed(seed))
    return place + 0.05 * noise


def test_a_placed_memory_knows_what_belongs_where():
    config = MemoryConfig(block=2, block_prototypes=64, half_distance=1e-9)
    filled = fill(ramps(30, 0), ramps(5, 1), "placed", config, 0)
    assert filled.prototypes.shape == (16, 64, 2)
    moved = ramps(5, 1).roll(4, 2)  # the same features four cells away
    at_home = nearest(ramps(5, 1), filled.prototypes)
    assert at_home.max() < 0.5
    assert nearest(moved, filled.prototypes).min() > 2.5
    assert (at_home > filled.half_distance).float().mean() == pytest.approx(0.01, abs=0.005)


def test_unfamiliar_by_one_half_is_not_less_than_configured():
    config = MemoryConfig(block_prototypes=4, half_distance=50.0)
    assert fill(ramps(30, 0), ramps(5, 1), "placed", config, 0).half_distance == 50.0


def test_neighbouring_cells_belong_to_a_block_and_no_others():
    config = MemoryConfig(block=2, block_prototypes=400, rounds=0)
    filled = fill(ramps(30, 0), ramps(5, 1), "placed", config, 0)
    for number, own in enumerate(filled.prototypes):
        top, left = 2 * (number // 4), 2 * (number % 4)
        low = torch.tensor([max(0, top - 1), max(0, left - 1)])
        high = torch.tensor([min(7, top + 2), min(7, left + 2)])
        assert ((own > low - 0.3) & (own < high + 0.3)).all()
        torch.testing.assert_close(own.amin(0).round(), low.float())
        torch.testing.assert_close(own.amax(0).round(), high.float())


def test_an_unplaced_memory_knows_what_there_is():
    filled = fill(ramps(30, 0), ramps(5, 1), "unplaced", MemoryConfig(prototypes=256), 0)
    assert filled.prototypes.shape == (1, 256, 2)
    assert nearest(ramps(5, 1).roll(4, 2), filled.prototypes).max() < 0.5


@pytest.mark.parametrize(
    ("cells", "asked", "side"),
    [((32, 32), 2, 2), ((80, 32), 2, 2), ((128, 128), 2, 8), ((8, 12), 8, 4), ((148, 164), 2, 4)],
)
def test_blocks_fit_and_are_not_too_many(cells: tuple[int, int], asked: int, side: int):
    assert block_side(*cells, asked) == side
    assert cells[0] % side == cells[1] % side == 0
