from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.ndimage
import torch

from flawmap.synthesis.perlin import perlin_noise, rotate_each


def textbook_perlin(size: tuple[int, int], cells: tuple[int, int], angles: np.ndarray):
    """Perlin's gradient noise, pixel by pixel, times √2."""

    def fade(t: float) -> float:
        return 6 * t**5 - 15 * t**4 + 10 * t**3

    def mix(a: float, b: float, t: float) -> float:
        return a + (b - a) * t

    noise = np.empty(size)
    for i in range(size[0]):
        for j in range(size[1]):
            y, x = i * cells[0] / size[0], j * cells[1] / size[1]
            top, left = math.floor(y), math.floor(x)
            corner = {}
            for a in (0, 1):
                for b in (0, 1):
                    angle = angles[top + a, left + b]
                    dy, dx = y - top - a, x - left - b
                    corner[a, b] = math.cos(angle) * dx + math.sin(angle) * dy
            u, v = fade(x - left), fade(y - top)
            above = mix(corner[0, 0], corner[0, 1], u)
            below = mix(corner[1, 0], corner[1, 1], u)
            noise[i, j] = math.sqrt(2) * mix(above, below, v)
    return noise


@pytest.mark.parametrize("size", [(32, 32), (24, 48), (1, 5)])
@pytest.mark.parametrize("cells", [(1, 1), (2, 8), (4, 1), (32, 16)])
def test_equals_textbook(size, cells):
    angles = np.random.default_rng(sum(cells)).uniform(0, 2 * np.pi, (33, 33))
    found = perlin_noise(
        size, torch.tensor([cells], dtype=torch.float32), torch.tensor(angles[None]).float()
    )
    np.testing.assert_allclose(found[0].numpy(), textbook_perlin(size, cells, angles), atol=5e-5)


def test_every_field_of_a_batch_is_its_own():
    rng = np.random.default_rng(0)
    cells = torch.tensor([[1.0, 4.0], [32.0, 2.0], [8.0, 8.0]])
    angles = torch.tensor(rng.uniform(0, 2 * np.pi, (3, 33, 33))).float()
    together = perlin_noise((40, 24), cells, angles)
    for k in range(3):
        alone = perlin_noise((40, 24), cells[k : k + 1], angles[k : k + 1])
        torch.testing.assert_close(together[k : k + 1], alone, atol=1e-5, rtol=0)


def test_range():
    rng = np.random.default_rng(1)
    angles = torch.tensor(rng.uniform(0, 2 * np.pi, (16, 33, 33))).float()
    noise = perlin_noise((64, 64), torch.full((16, 2), 8.0), angles)
    assert 0.7 < noise.abs().max() <= 1.0 + 1e-5


def turned(field: np.ndarray, degrees: float, **options: str) -> np.ndarray:
    batch = torch.tensor(field, dtype=torch.float32)[None, None]
    return rotate_each(batch, torch.tensor([degrees]), **options)[0, 0].numpy()


@pytest.mark.parametrize("quarters", [-1, 0, 1, 2, 3])
def test_quarter_turns_are_exact(quarters):
    """Positive degrees turn counter-clockwise as seen, as rot90, Pillow and SciPy do."""
    field = np.random.default_rng(2).random((16, 16))
    np.testing.assert_allclose(turned(field, 90.0 * quarters), np.rot90(field, quarters), atol=1e-4)


@pytest.mark.parametrize("size", [(33, 33), (32, 32), (20, 48), (48, 20)])
@pytest.mark.parametrize("degrees", [-90.0, -37.0, -5.0, 3.0, 61.5])
def test_equals_scipy(size, degrees):
    field = np.random.default_rng(3).random(size)
    expected = scipy.ndimage.rotate(field, degrees, reshape=False, order=1, mode="grid-constant")
    np.testing.assert_allclose(turned(field, degrees), expected, atol=1e-4)


def test_corners_are_zero_or_the_edge():
    field = np.full((32, 32), 0.7)
    assert turned(field, 45.0)[0, 0] == 0
    np.testing.assert_allclose(turned(field, 45.0, padding="border"), 0.7, atol=1e-6)


def test_each_image_turns_by_its_own_angle():
    field = torch.rand(3, 2, 24, 24, generator=torch.Generator().manual_seed(0))
    together = rotate_each(field, torch.tensor([0.0, 30.0, -80.0]))
    for k, angle in enumerate((0.0, 30.0, -80.0)):
        torch.testing.assert_close(
            together[k : k + 1], rotate_each(field[k : k + 1], torch.tensor([angle]))
        )
