"""The memory against distances found one by one."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from flawmap.methods.normality.config import MemoryConfig
from flawmap.methods.normality.memory import NormalityMemory, build_memory, describe, nearest


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def stages(batch: int = 2) -> list[torch.Tensor]:
    return [drawn(batch, 4, 16, 8, seed=1), drawn(batch, 6, 8, 4, seed=2)]


@pytest.mark.parametrize(("blocks", "side"), [(1, None), (8, 2), (2, 4)])
def test_the_nearest_of_each_places_own_block(blocks: int, side: int | None):
    places, prototypes = drawn(3, 5, 8, 4), drawn(blocks, 7, 5, seed=1)
    found = nearest(places, prototypes)
    for image in range(3):
        for y in range(8):
            for x in range(4):
                block = 0 if side is None else (y // side) * (4 // side) + x // side
                apart = (prototypes[block].double() - places[image, :, y, x].double()).square()
                assert found[image, y, x].item() == pytest.approx(apart.sum(1).min().item(), 1e-4)


def test_descriptions_are_unit_features_averaged_over_nine_places():
    first, second = stages()
    found = describe([drawn(2, 3, 32, 16), first, second])
    assert found.shape == (2, 10, 16, 8)
    unit = first / first.norm(dim=1, keepdim=True)
    torch.testing.assert_close(found[:, :4, 5, 3], unit[:, :, 4:7, 2:5].mean((2, 3)))
    torch.testing.assert_close(found[:, :4, 0, 0], unit[:, :, :2, :2].mean((2, 3)))
    lengths = [found[:, part].square().sum(1).max() for part in (slice(4), slice(4, 10))]
    assert all(length <= 1 + 1e-5 for length in lengths), "so squared distances are 4 at most"


def filled(**changes: object) -> NormalityMemory:
    memory = NormalityMemory(MemoryConfig(**changes))
    places = describe(stages())
    memory.keep(places.movedim(1, 3).reshape(1, -1, 10)[:, ::2], half_distance=0.02)
    return memory


def test_at_half_the_distance_a_place_is_unfamiliar_by_half_and_what_is_known_is_not():
    memory = filled()
    unfamiliar = memory.unfamiliar(stages())
    assert unfamiliar.shape == (2, 1, 16, 8)
    known = unfamiliar.movedim(1, 3).reshape(-1)[::2]
    assert known.max() < 0.01
    distance = nearest(describe(stages()), memory.prototypes)[:, None]
    torch.testing.assert_close(unfamiliar, distance / (distance + 0.02))
    assert unfamiliar.max() > 0.1


def test_a_map_is_higher_where_things_are_unfamiliar():
    memory = filled(share=0.25, area=1e9, power=2.0)
    unfamiliar = memory.unfamiliar(stages())
    anomaly = torch.tensor([0.0, 0.5]).view(2, 1, 1, 1).expand(2, 1, 16, 8)
    joined = memory.join(anomaly, unfamiliar)
    torch.testing.assert_close(joined, 1 - (1 - anomaly) * (1 - 0.25 * unfamiliar**2))
    assert (joined >= anomaly).all()
    assert joined.max() <= 1
    assert (joined[0] > 0).any(), "the method saw nothing"


def test_the_memory_counts_with_the_third_power_of_the_area_that_is_unfamiliar():
    memory = NormalityMemory(MemoryConfig(share=0.1, area=0.5, power=1.0))
    unfamiliar = torch.zeros(4, 1, 10, 10)
    unfamiliar[1, :, :1], unfamiliar[2, :, :4], unfamiliar[3, :, :9] = 1.0, 1.0, 1.0
    joined = memory.join(torch.zeros(4, 1, 10, 10), unfamiliar)
    found = joined[:, 0, 0, 0]
    torch.testing.assert_close(found, torch.tensor([0.0, 0.1 + 0.2**3, 0.1 + 0.8**3, 1.0]))
    half = torch.full((1, 1, 10, 10), 0.5)  # half unfamiliar: half the area
    known = memory.join(torch.zeros(1, 1, 10, 10), half)
    torch.testing.assert_close(known, torch.full_like(half, 0.5))
    assert not memory.join(torch.zeros(1, 1, 10, 10), 0.0 * half).any()


def test_a_score_is_lower_where_all_is_familiar():
    memory = filled(score_power=1.5, score_share=0.5)
    unfamiliar = memory.unfamiliar(stages())
    six = unfamiliar.flatten(1).sort(1, descending=True).values[:, :6].mean(1)
    found = memory.weigh(torch.tensor([0.5, 0.5]), unfamiliar)
    torch.testing.assert_close(found, (0.5 * six**1.5 + 0.5 * six**8) / 1.5)
    assert (memory.weigh(torch.zeros(2), unfamiliar) > 0).all(), "the method saw nothing"


@pytest.mark.parametrize(
    "config", [None, MemoryConfig(kind="none"), MemoryConfig()], ids=["none", "no kind", "empty"]
)
def test_without_one_maps_and_scores_stay_as_they_are(config: MemoryConfig | None):
    none = build_memory(config)
    assert none.unfamiliar(stages()) is None
    anomaly, score = drawn(2, 1, 16, 8), drawn(2)
    assert none.join(anomaly, None) is anomaly
    assert none.weigh(score, None) is score
    assert bool(none.state_dict()) == (config == MemoryConfig())


def test_stored_prototypes_come_back_however_many():
    kept = nn.ModuleDict({"memory": filled()})
    again = nn.ModuleDict({"memory": NormalityMemory(MemoryConfig())})
    again.load_state_dict(kept.state_dict())
    expected = kept["memory"].unfamiliar(stages())
    assert torch.equal(again["memory"].unfamiliar(stages()), expected)
