from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from flawmap.methods.modules.losses import (
    focal_loss,
    mean_of_marked,
    shrink_mask,
    small_weights,
    somewhere_loss,
)


@pytest.mark.parametrize("gamma", [0.0, 2.0, 4.0])
def test_focal_against_its_formula(gamma):
    rng = np.random.default_rng(0)
    logits, mask = rng.normal(0, 3, (2, 1, 8, 8)), rng.integers(0, 2, (2, 1, 8, 8))
    y = 1 / (1 + np.exp(-logits))
    p = mask * y + (1 - mask) * (1 - y)
    expected = np.mean(-((1 - p) ** gamma) * np.log(p))
    found = focal_loss(torch.tensor(logits), torch.tensor(mask, dtype=torch.float64), gamma)
    assert found.item() == pytest.approx(expected, rel=1e-9)


def test_focal_by_hand():
    """At one half: (1/2)^4 ln 2; no class weight, so either class costs the same."""
    for truth in (0.0, 1.0):
        found = focal_loss(torch.zeros(1, 1, 2, 2), torch.full((1, 1, 2, 2), truth), 4.0)
        assert found.item() == pytest.approx(math.log(2) / 16)


def test_focal_is_finite_where_certain_and_wrong():
    logits = torch.full((1, 1, 2, 2), 200.0, requires_grad=True)
    loss = focal_loss(logits, torch.zeros(1, 1, 2, 2), 4.0)
    loss.backward()
    assert loss.item() == pytest.approx(200.0)
    assert torch.isfinite(logits.grad).all()


def test_mask_shrinks_by_its_central_four_pixels():
    """Bilinear from 256 to 64 without antialias reads the middle 2x2 of each 4x4: two make one."""
    rng = np.random.default_rng(0)
    mask = (rng.random((3, 256, 256)) < 0.4).astype(np.float32)
    central = mask.reshape(3, 64, 4, 64, 4)[:, :, 1:3, :, 1:3].sum((2, 4))
    found = shrink_mask(torch.from_numpy(mask)[:, None], (64, 64))
    assert found.shape == (3, 1, 64, 64)
    np.testing.assert_array_equal(found[:, 0].numpy(), (central >= 2).astype(np.float32))


def test_mask_of_the_right_size_is_kept():
    mask = (torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(0)) > 0.5).float()
    assert torch.equal(shrink_mask(mask, (64, 64)), mask)


# --- known defects without masks


def logits_and_mask() -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    mask = (torch.rand(3, 1, 40, 40, generator=rng) > 0.7).float()
    return torch.randn(3, 1, 40, 40, generator=rng).requires_grad_(), mask


def test_where_every_mask_is_known_nothing_changes():
    logits, mask = logits_and_mask()
    signed = torch.where(mask > 0.5, logits, -logits)
    before = ((-signed).sigmoid().pow(4.0) * F.softplus(-signed)).mean()
    assert torch.equal(focal_loss(logits, mask, 4.0), before)
    assert focal_loss(logits, mask, 4.0, torch.ones(3)).item() == pytest.approx(before.item())
    assert somewhere_loss(logits, None).item() == 0
    assert somewhere_loss(logits, torch.ones(3)).item() == 0


def test_an_image_without_mask_moves_only_its_highest_places():
    logits, mask = logits_and_mask()
    marked = torch.tensor([1.0, 0.0, 1.0])
    (focal_loss(logits, mask, 4.0, marked) + somewhere_loss(logits, marked)).backward()
    assert logits.grad is not None
    moved = logits.grad[1, 0] != 0
    highest = logits[1].flatten().topk(4).indices  # a quarter of a percent of 1600
    assert moved.sum() == 4
    assert moved.flatten()[highest].all()
    assert (logits.grad[1, 0][moved] < 0).all(), "they are to rise"
    assert (logits.grad[[0, 2]] != 0).all()


def test_somewhere_by_hand():
    """At a logit of 0 everywhere it is ln 2 for each image without mask."""
    found = somewhere_loss(torch.zeros(4, 1, 3, 3), torch.tensor([1.0, 0.0, 0.0, 1.0]))
    assert found.item() == pytest.approx(2 * math.log(2) / 4)


def test_the_mean_counts_all_samples_alike():
    values = torch.arange(8.0).reshape(2, 1, 2, 2)
    assert mean_of_marked(values, None).item() == 3.5
    assert mean_of_marked(values, torch.tensor([0.0, 1.0])).item() == pytest.approx(5.5 / 2)


def test_small_defects_keep_their_places_and_nothing_else_changes():
    """A dot of 2x2 and a hair of one pixel vanish in a fourth of the size; a block does not."""
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 5:7, 5:7] = 1.0  # in the place (1, 1)
    mask[..., 40, 8:40] = 1.0  # in the places (10, 2) to (10, 9)
    mask[..., 16:32, 48:64] = 1.0  # (4..7, 12..15)
    plain, kept = shrink_mask(mask, (16, 16)), shrink_mask(mask, (16, 16), keep_small=True)
    block = torch.zeros(16, 16)
    block[4:8, 12:16] = 1.0
    assert torch.equal(plain[0, 0] * block, block)
    wanted = block.clone()
    wanted[1, 1] = 1.0
    wanted[10, 2:10] = 1.0
    assert torch.equal(kept[0, 0], wanted)
    assert kept.sum() > plain.sum()


def test_the_weight_of_a_place_falls_with_the_size_of_its_defect():
    mask = torch.zeros(4, 1, 20, 20)
    mask[0, 0, 0, 0] = 1.0  # a quarter of a percent: eight times less than usual
    mask[1, 0, :2, :4] = 1.0  # 2 %, as usual
    mask[2, 0, :10] = 1.0  # half of it
    weights = small_weights(mask)
    assert weights[0, 0, 0, 0].item() == pytest.approx(8.0)
    assert torch.equal(weights[1:], torch.ones_like(weights[1:]))
    assert (weights[0] != 1.0).sum() == 1
    dot = torch.zeros(1, 1, 100, 100)
    dot[0, 0, 3, 3] = 1.0
    assert small_weights(dot).max().item() == 20.0
