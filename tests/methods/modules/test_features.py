"""Comparing features: by hand, and against NumPy."""

from __future__ import annotations

import numpy as np
import torch

from flawmap.methods.modules.features import cosine_distances, distance_maps, normalise


def test_normalise_by_hand():
    x = torch.tensor([[3.0, 0.0], [4.0, 0.0]]).view(1, 2, 2, 1)  # (3, 4) above, nothing below
    expected = torch.tensor([[0.6, 0.0], [0.8, 0.0]]).view(1, 2, 2, 1)
    torch.testing.assert_close(normalise(x), expected, msg="and no division by zero")


def test_distances_against_numpy():
    draw = torch.Generator().manual_seed(0)
    pairs = [torch.randn(2, c, n, n, generator=draw) for c, n in ((8, 16), (16, 8)) for _ in (0, 1)]
    found = cosine_distances(pairs[::2], pairs[1::2])
    for distance, t, s in zip(found, pairs[::2], pairs[1::2], strict=True):
        a, b = t.double().numpy(), s.double().numpy()
        cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
        np.testing.assert_allclose(distance.numpy(), 1 - cosine, atol=1e-6)


def test_maps_have_the_finest_size_and_stay_within_0_and_1():
    draw = torch.Generator().manual_seed(0)
    teacher = [torch.randn(3, 4, n, 2 * n, generator=draw) for n in (8, 4, 2)]
    maps = distance_maps(teacher, [-level for level in teacher])  # distance 2 everywhere
    assert maps.shape == (3, 3, 8, 16)
    assert torch.equal(maps, torch.ones_like(maps))
    assert distance_maps(teacher, teacher).abs().max() < 1e-6
