from __future__ import annotations

import torch
from torch.nn import functional as F

from flawmap.methods.modules.guided_filter import GuidedUpsampling
from flawmap.methods.modules.readout import Smoothing
from flawmap.methods.modules.upsample import Upsample


def small_and_image() -> tuple[torch.Tensor, torch.Tensor]:
    made = torch.Generator().manual_seed(6)
    return torch.rand(2, 1, 8, 16, generator=made), torch.rand(2, 3, 32, 64, generator=made)


def test_without_guidance_it_is_bilinear():
    small, image = small_and_image()
    expected = F.interpolate(small, size=(32, 64), mode="bilinear")[:, 0]
    torch.testing.assert_close(Upsample(0.0, 0.0)(small, image), expected)


def test_the_blur_comes_before_bilinear_and_before_guidance():
    small, image = small_and_image()
    blurred = Smoothing(0.8)(small)
    expected = F.interpolate(blurred, size=(32, 64), mode="bilinear")[:, 0]
    torch.testing.assert_close(Upsample(0.8, 0.0)(small, image), expected)
    guided = GuidedUpsampling(0.01)(blurred, image)[:, 0]
    torch.testing.assert_close(Upsample(0.8, 0.01)(small, image), guided)
