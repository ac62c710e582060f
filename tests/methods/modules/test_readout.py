from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import nn

from flawmap.methods.modules.readout import Smoothing, smoothing, topk_mean


@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.0])
def test_smoothing_is_scipys_gaussian(sigma):
    field = torch.rand(2, 1, 24, 32, generator=torch.Generator().manual_seed(3))
    expected = ndimage.gaussian_filter(
        field.double().numpy(), sigma, axes=(2, 3), mode="nearest", radius=math.ceil(3 * sigma)
    )
    np.testing.assert_allclose(Smoothing(sigma)(field).numpy(), expected, atol=1e-6)


def test_no_smoothing_is_nothing():
    assert isinstance(smoothing(0.0), nn.Identity)
    assert isinstance(smoothing(0.5), Smoothing)


@pytest.mark.parametrize("count", [1, 2, 12, 500])
def test_topk_mean_against_a_sort(count):
    x = torch.rand(3, 1, 3, 4, generator=torch.Generator().manual_seed(0))
    expected = np.sort(x.flatten(1).numpy(), axis=1)[:, -count:].mean(1)
    np.testing.assert_allclose(topk_mean(x, count).numpy(), expected, rtol=1e-6)
