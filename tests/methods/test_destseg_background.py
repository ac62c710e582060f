"""The offset of the background against the same done value by value."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from flawmap.methods.destseg.background import BackgroundOffset


def plainly(anomaly: np.ndarray, most: float) -> np.ndarray:
    """One map (h, w), by the definition."""
    ranked = np.sort(anomaly, axis=None)[::-1]
    usual = 3 * ranked[anomaly.size // 2 - 1]
    level = min(ranked[anomaly.size // 4 - 1], usual, most)
    above = np.maximum(anomaly - level, 0) / (1 - level)
    height, width = anomaly.shape
    reach = min(height, width) // 4
    found = np.empty_like(above)
    for y in range(height):
        for x in range(width):
            window = above[
                max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1
            ].mean()
            near = min(window, usual, most / 2)
            found[y, x] = max(above[y, x] - near, 0) / (1 - near)
    return 0.95 * found + 0.05 * anomaly


@pytest.mark.parametrize("size", [(16, 16), (24, 10), (4, 4)])
@pytest.mark.parametrize("most", [0.05, 0.2, 0.9])
def test_it_is_what_its_definition_says(size: tuple[int, int], most: float):
    maps = torch.rand(3, 1, *size, generator=torch.Generator().manual_seed(0)).pow(3)
    found = BackgroundOffset(most)(maps)
    for image in range(3):
        expected = plainly(maps[image, 0].double().numpy(), most)
        np.testing.assert_allclose(found[image, 0].numpy(), expected, atol=1e-6)


def test_what_an_unusual_surface_has_all_over_is_taken_off_and_its_defect_stays():
    usual, unusual = torch.full((32, 32), 0.01), torch.full((32, 32), 0.15)
    maps = torch.stack([usual, unusual])[:, None]
    maps[:, :, 10:13, 10:13] = 0.9
    found = BackgroundOffset(0.2)(maps)
    assert found[1, 0, 20, 20] < 0.01
    assert found[1, 0, 11, 11] > 0.8
    assert maps[1, 0, 20, 20] == pytest.approx(0.15), "the map itself is left alone"


def test_an_image_that_is_anomalous_all_over_remains_so_and_one_stays_one():
    maps = torch.full((2, 1, 32, 32), 0.9)
    maps[1] = 1.0
    found = BackgroundOffset(0.2)(maps)
    assert found[0].min() > 0.8
    assert torch.equal(found[1], maps[1])


def test_a_defect_on_a_third_of_the_image_is_left_alone():
    maps = torch.full((1, 1, 32, 32), 0.001)
    maps[:, :, :11] = 0.3
    found = BackgroundOffset(0.2)(maps)
    assert found[0, 0, 5, 5] > 0.29


def test_what_is_taken_off_keeps_its_order():
    maps = torch.linspace(0, 0.1, 256).view(1, 1, 16, 16)
    found = BackgroundOffset(0.2)(maps).flatten()
    assert (found[:64].diff() > 0).all()
