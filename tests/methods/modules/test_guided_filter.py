"""The guided filter against its definition, window by window, in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage

from flawmap.methods.modules.guided_filter import GuidedUpsampling


def scene(seed: int, colours: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """A map (2, 1, 12, 16) and its image (2, 3, 48, 64)."""
    made = torch.Generator().manual_seed(seed)
    image = torch.rand(2, colours, 48, 64, generator=made).expand(2, 3, 48, 64)
    return torch.rand(2, 1, 12, 16, generator=made), image


def by_definition(small: np.ndarray, image: np.ndarray, variance: float) -> np.ndarray:
    """Weighted ridge regression of the map on the colours in the window about every cell."""
    line = np.exp(-0.5 * (np.arange(-3, 4) / 0.7) ** 2)
    weights = np.outer(line, line).ravel() / line.sum() ** 2
    colours = image.reshape(3, 12, 4, 16, 4).mean((2, 4))
    around = [np.pad(c, 3, mode="edge") for c in (*colours, small)]
    lines = np.empty((4, 12, 16))
    for y, x in np.ndindex(12, 16):
        *c, p = (plane[y : y + 7, x : x + 7].ravel() for plane in around)
        c = np.stack(c)
        mean, mean_p = c @ weights, p @ weights
        apart = c - mean[:, None]
        spread = (weights * apart) @ apart.T + variance * np.eye(3)
        slope = np.linalg.solve(spread, (weights * apart) @ (p - mean_p))
        lines[:, y, x] = *slope, mean_p - slope @ mean
    smooth = [ndimage.gaussian_filter(f, 0.7, mode="nearest", radius=3) for f in lines]
    large = [
        np.asarray(
            Image.fromarray(f.astype(np.float32)).resize((64, 48), Image.Resampling.BILINEAR)
        )
        for f in smooth
    ]
    found = (np.stack(large[:3]) * image).sum(0) + large[3]
    return np.clip(found, small.min(), small.max())


@pytest.mark.parametrize("colours", [1, 3], ids=["grey", "colour"])
@pytest.mark.parametrize("variance", [1e-3, 0.1])
def test_it_is_a_regression_on_the_colours_of_each_window(colours, variance):
    small, image = scene(4, colours)
    found = GuidedUpsampling(variance)(small, image)
    assert found.shape == (2, 1, 48, 64)
    for i in range(2):
        expected = by_definition(small[i, 0].double().numpy(), image[i].double().numpy(), variance)
        np.testing.assert_allclose(found[i, 0].numpy(), expected, atol=2e-5)


def test_the_map_takes_over_the_edge_of_a_part():
    """A blurred step beside a sharp edge of the image becomes a step at that edge."""
    image = torch.zeros(1, 3, 64, 64)
    image[..., 30:] = 0.8
    small = torch.linspace(0, 1, 6).repeat(16, 1)
    small = torch.cat([torch.zeros(16, 5), small, torch.ones(16, 5)], 1)[None, None]
    found = GuidedUpsampling(0.003)(small, image)[0, 0]
    bilinear = torch.nn.functional.interpolate(small, size=(64, 64), mode="bilinear")[0, 0]
    step = (found[:, 30] - found[:, 29]).mean()
    assert step > 3 * (bilinear[:, 30] - bilinear[:, 29]).mean()
    assert found.min() >= 0
    assert found.max() <= 1


def test_it_stays_within_the_maps_range():
    small, image = scene(5)
    found = GuidedUpsampling(1e-4)(3.0 + small, image)
    for i in range(2):
        assert found[i].min() == 3.0 + small[i].min(), "the filter would overshoot here"
        assert found[i].max() == 3.0 + small[i].max()


def test_without_edges_it_is_a_blur():
    """On an image of one colour no line has a slope."""
    small, _ = scene(2)
    grey = torch.full((2, 3, 48, 64), 0.4)
    found = GuidedUpsampling(0.003)(small, grey)
    twice = ndimage.gaussian_filter(
        ndimage.gaussian_filter(small.numpy(), 0.7, axes=(2, 3), mode="nearest", radius=3),
        0.7, axes=(2, 3), mode="nearest", radius=3,
    )  # fmt: skip
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(twice), size=(48, 64), mode="bilinear"
    )
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_a_brighter_picture_is_the_same_picture():
    """Only differences of colour guide."""
    small, image = scene(8)
    filter_ = GuidedUpsampling(0.003)
    torch.testing.assert_close(filter_(small, image * 0.5), filter_(small, image * 0.5 + 0.4))


def test_a_finer_map_is_averaged_first():
    small, image = scene(3)
    filter_ = GuidedUpsampling(0.003)
    fine = small.repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.testing.assert_close(filter_(fine, image), filter_(small, image))


def test_a_coarser_map_is_enlarged_first():
    small, image = scene(3)
    filter_ = GuidedUpsampling(0.003)
    coarse = small[..., ::2, ::2]
    quarter = torch.nn.functional.interpolate(coarse, size=(12, 16), mode="bilinear")
    torch.testing.assert_close(filter_(coarse, image), filter_(quarter, image))


@pytest.mark.parametrize("side", [5, 20, 40])
def test_sizes_that_are_no_multiples_of_a_cell(side):
    """70x42 pixels, as a backbone with stride 14 may ask for: a flat map stays flat."""
    image = torch.rand(2, 3, 70, 42, generator=torch.Generator().manual_seed(0))
    small = torch.full((2, 1, side, side * 3 // 5), 0.3)
    found = GuidedUpsampling(0.003)(small, image)
    torch.testing.assert_close(found, torch.full((2, 1, 70, 42), 0.3))
