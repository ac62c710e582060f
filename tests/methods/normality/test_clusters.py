"""k-means against scipy's, and where points are few."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.cluster.vq import kmeans2

from flawmap.methods.normality import clusters
from flawmap.methods.normality.clusters import cluster


def draw(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_rounds_are_scipys_from_the_same_start(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(clusters, "_ROWS", 37)  # in parts
    points = torch.rand(200, 3, generator=draw())
    start = cluster(points, 6, 0, draw(1))
    assert all((points == one).all(1).any() for one in start), "it starts from points"
    expected, _ = kmeans2(points.double().numpy(), start.double().numpy(), iter=4, minit="matrix")
    np.testing.assert_allclose(cluster(points, 6, 4, draw(1)).numpy(), expected, atol=1e-5)


def test_fewer_points_than_centres_come_again():
    points = torch.rand(3, 2, generator=draw())
    found = cluster(points, 8, 5, draw())
    assert found.shape == (8, 2)
    assert {tuple(one) for one in found.tolist()} <= {tuple(one) for one in points.tolist()}


def test_the_same_draw_gives_the_same_bits():
    points = torch.rand(500, 4, generator=draw())
    assert torch.equal(cluster(points, 9, 5, draw(3)), cluster(points, 9, 5, draw(3)))
