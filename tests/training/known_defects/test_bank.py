"""Batches with known defects: pure functions of seed and step, and unchanged without them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from flawmap.methods.batch import Batch
from flawmap.synthesis.anomalies import AnomalyConfig
from flawmap.synthesis.known_defects.draws import Freedom, KnownConfig
from flawmap.training.known_defects.bank import KnownBank
from flawmap.training.known_defects.load import KnownDefects
from flawmap.training.steps.batches import BatchMaker
from flawmap.training.steps.ranks import Ranks

SIZE = (32, 32)
FIRST = 3


def some_defects() -> KnownDefects:
    """Three with a mask, of two types, and one without."""
    rng = np.random.default_rng(1)
    masks = np.zeros((4, *SIZE), np.uint8)
    masks[:3, 10:16, 12:20] = 1
    masks[1, 26:29, 2:5] = 1  # a second piece
    return KnownDefects(
        images=rng.integers(0, 256, (4, *SIZE, 3), np.uint8),
        masks=masks,
        types=np.array([0, 0, 1, 1]),
        masked=np.array([True, True, True, False]),
        names=("dent", "scratch"),
        files=("a", "b", "c", "d"),
        notes=(),
    )


@pytest.fixture
def plain() -> BatchMaker:
    rng = np.random.default_rng(0)
    return BatchMaker(
        images=rng.integers(0, 256, (10, *SIZE, 3), np.uint8),
        textures=rng.integers(0, 256, (7, *SIZE, 3), np.uint8),
        anomalies=AnomalyConfig(foreground_share=0.5),
        batch_size=8,
        rotation="slight",
        fill="edge",
        seed=3,
        device=torch.device("cpu"),
    )


def with_defects(maker: BatchMaker, config: KnownConfig | None = None) -> BatchMaker:
    bank = KnownBank(some_defects(), config or KnownConfig(), Freedom(False, False), FIRST)
    return dataclasses.replace(maker, known=bank)


def same(a: Batch, b: Batch) -> bool:
    names = ("clean", "corrupted", "mask", "real", "marked")
    pairs = [(getattr(a, name), getattr(b, name)) for name in names]
    return all(one is two if one is None else torch.equal(one, two) for one, two in pairs)


def test_any_order_any_time_any_object(plain: BatchMaker):
    maker = with_defects(plain)
    forward = [maker(t) for t in range(7)]
    torch.manual_seed(9)
    twin = with_defects(plain)
    for t in (6, 0, 4, 4, 3):
        assert same(twin(t), forward[t])
    assert not same(dataclasses.replace(twin, seed=4)(4), forward[4])


def test_before_the_head_learns_batches_are_those_without_defects(plain: BatchMaker):
    maker = with_defects(plain)
    for step in range(FIRST):
        assert same(maker(step), plain(step))
    assert not same(maker(FIRST), plain(FIRST))


def test_samples_that_show_no_known_defect_do_not_change(plain: BatchMaker):
    maker = with_defects(plain)
    for step in range(FIRST, FIRST + 4):
        before, after = plain(step), maker(step)
        drawn = maker.draw(step).known
        assert drawn is not None
        others = ~torch.from_numpy(drawn.shown)
        assert torch.equal(after.clean, before.clean)
        assert torch.equal(after.corrupted[others], before.corrupted[others])
        assert torch.equal(after.mask[others], before.mask[others])
        assert (after.corrupted != before.corrupted).flatten(1).any(1)[drawn.shown].all()
        assert after.rows is before.rows is None


def test_it_says_which_are_real_and_which_masks_are_known(plain: BatchMaker):
    maker = with_defects(plain, KnownConfig(share=1.0, pasted=0.5))
    seen = set()
    for step in range(FIRST, FIRST + 6):
        batch, drawn = maker(step), maker.draw(step).known
        assert drawn is not None
        assert batch.real is not None
        assert batch.marked is not None
        assert (batch.real.numpy() == ~drawn.pasted).all()
        bare = drawn.defect == 3
        assert not (bare & drawn.pasted).any()
        assert (batch.marked.numpy() == ~bare).all()
        assert (batch.mask[torch.from_numpy(bare)] == 0).all()
        seen |= {*zip(drawn.pasted.tolist(), bare.tolist(), strict=True)}
    assert seen == {(True, False), (False, False), (False, True)}


@pytest.mark.parametrize("families", [False, True])
def test_two_ranks_make_the_slices_of_one(plain: BatchMaker, families: bool):
    if families:
        weights = {"faint": 1.0, "moved": 1.0}
        plain = dataclasses.replace(plain, anomalies=AnomalyConfig(families=weights))
    maker = with_defects(plain)
    for step in (0, FIRST, FIRST + 1):
        whole = maker(step)
        for rank in (0, 1):
            part = dataclasses.replace(maker, ranks=Ranks(rank, 2))(step)
            own = slice(rank * 4, rank * 4 + 4)
            for name in ("clean", "corrupted", "mask", "real", "marked"):
                one, all_of = getattr(part, name), getattr(whole, name)
                if all_of is None:
                    assert one is None
                else:
                    torch.testing.assert_close(one, all_of[own], rtol=0, atol=1e-6)


def test_global_generators_stay_where_they_are(plain: BatchMaker):
    before = torch.get_rng_state()
    with_defects(plain)(FIRST)
    assert torch.equal(before, torch.get_rng_state())
