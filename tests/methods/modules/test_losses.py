from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from flawmap.methods.modules.losses import focal_loss, shrink_mask


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
