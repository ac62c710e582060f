from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from flawmap.synthesis.anomalies import AnomalyConfig, corrupt, draw_parameters
from flawmap.synthesis.foreground import foreground


def part_on_ground(part: float, ground: float, noise: float = 0.01) -> torch.Tensor:
    """A plain square part of 48 pixels in the middle of 128x128."""
    x = torch.full((1, 3, 128, 128), ground)
    x[..., 40:88, 40:88] = part
    grain = torch.rand(x.shape, generator=torch.Generator().manual_seed(0)) - 0.5
    return (x + noise * grain).clamp(0, 1)


@pytest.mark.parametrize(("part", "ground"), [(0.9, 0.1), (0.1, 0.9), (0.5, 0.35)])
def test_the_part_and_a_narrow_rim(part, ground):
    found = foreground(part_on_ground(part, ground))[0, 0]
    assert found.dtype == torch.bool
    assert found[40:88, 40:88].all()
    outside = found.clone()
    outside[20:108, 20:108] = False
    assert not outside.any()


def test_a_texture_is_foreground_all_over():
    texture = torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    assert foreground(texture).float().mean() > 0.95


@pytest.mark.parametrize("size", [(64, 96), (50, 61)])
def test_any_size_and_a_constant_image(size):
    found = foreground(torch.full((2, 3, *size), 0.3))
    assert found.shape == (2, 1, *size)


def test_each_image_is_judged_alone():
    pair = torch.cat([part_on_ground(0.9, 0.1), part_on_ground(0.5, 0.4)])
    assert torch.equal(foreground(pair)[1:], foreground(pair[1:]))


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_share_of_anomalies_kept_on_the_part(share):
    config = AnomalyConfig(foreground_share=share)
    drawn = draw_parameters(np.random.default_rng(0), 4000, 1, config)
    assert drawn.confined.mean() == pytest.approx(share, abs=0.03 if 0 < share < 1 else 0)


def test_confined_anomalies_stay_on_the_part_and_free_ones_do_not():
    config = AnomalyConfig(threshold=-9)  # anomalous everywhere
    drawn = draw_parameters(np.random.default_rng(0), 4, 1, config)
    drawn = dataclasses.replace(drawn, confined=np.array([True, False, True, False]))
    clean = part_on_ground(0.9, 0.1).repeat(4, 1, 1, 1)
    corrupted, mask = corrupt(clean, torch.zeros_like(clean), drawn, config)
    assert torch.equal(mask[::2] > 0, foreground(clean[::2]))
    assert mask[1::2].all()
    outside = (mask == 0).expand_as(clean)
    assert torch.equal(corrupted[outside], clean[outside])
