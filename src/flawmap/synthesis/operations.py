"""Operations applied to a texture before it becomes an anomaly.

DRAEM (Zavrtanik et al., ICCV 2021) applies three of ten imgaug operations to each texture; these
are the ten, with its ranges. Each takes an image (3, H, W) in 0..1 and three amounts in 0..1, and
returns a new image in 0..1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from flawmap.synthesis.perlin import rotate_each
from flawmap.synthesis.upload import upload

Amounts = Sequence[float]
_GREY = (0.299, 0.587, 0.114)


def gamma(x: Tensor, amounts: Amounts) -> Tensor:
    """Apply gamma contrast with an exponent in 0.5..2 per channel."""
    return x.pow(0.5 + 1.5 * _per_channel(x, amounts))


def brightness(x: Tensor, amounts: Amounts) -> Tensor:
    """Multiply by 0.8..1.2 and add -30..30 of 255."""
    return (x * _range(amounts[0], 0.8, 1.2) + _range(amounts[1], -30, 30) / 255).clamp(0, 1)


def sharpness(x: Tensor, amounts: Amounts) -> Tensor:
    """Smooth (0), keep (1) or sharpen (2), by interpolation from the 3x3 mean."""
    soft = F.avg_pool2d(F.pad(x[None], (1, 1, 1, 1), mode="replicate"), 3, 1)[0]
    return torch.lerp(soft, x, _range(amounts[0], 0.0, 2.0)).clamp(0, 1)


def hue_saturation(x: Tensor, amounts: Amounts) -> Tensor:
    """Rotate hue by up to ±70 degrees and change saturation by up to ±20 %."""
    grey = _grey(x)
    colour = x - grey
    rotated = torch.einsum("ij,jhw->ihw", _hue_rotation(_range(amounts[0], -70, 70), x), colour)
    return (grey + rotated * (1.0 + _range(amounts[1], -0.2, 0.2))).clamp(0, 1)


def solarize(x: Tensor, amounts: Amounts) -> Tensor:
    """Half the time, invert values above a threshold of 32..128 of 255."""
    if amounts[0] < 0.5:
        return x
    return torch.where(x >= _range(amounts[1], 32, 128) / 255, 1.0 - x, x)


def posterize(x: Tensor, amounts: Amounts) -> Tensor:
    """Quantise each channel to 2 to 256 levels."""
    step = 2.0 ** -(1 + int(amounts[0] * 7.999))
    return (x / step).floor().clamp(max=1.0 / step - 1) * step


def invert(x: Tensor, amounts: Amounts) -> Tensor:
    """Return the negative."""
    del amounts
    return 1.0 - x


def autocontrast(x: Tensor, amounts: Amounts) -> Tensor:
    """Stretch each channel to the full range, clipping up to 20 % at either end."""
    cut = _range(amounts[0], 0.0, 0.2)
    flat = x.flatten(1).sort(1).values
    last = flat.shape[1] - 1
    low = flat[:, round(cut * last), None, None]
    high = flat[:, round((1.0 - cut) * last), None, None]
    return ((x - low) / (high - low).clamp(min=1e-3)).clamp(0, 1)


def equalize(x: Tensor, amounts: Amounts) -> Tensor:
    """Equalise each channel's histogram: a value becomes the share of pixels not above it."""
    del amounts
    levels = (x * 255).round().long().flatten(1)
    counts = torch.zeros(3, 256, device=x.device).scatter_add_(
        1, levels, torch.ones_like(levels, dtype=torch.float32)
    )
    shares = counts.cumsum(1) / levels.shape[1]
    return shares.gather(1, levels).view_as(x)


def rotate(x: Tensor, amounts: Amounts) -> Tensor:
    """Rotate by up to ±45 degrees, black outside the image."""
    degrees = _there([_range(amounts[0], -45, 45)], x)
    return rotate_each(x[None], degrees)[0]


OPERATIONS: tuple[Callable[[Tensor, Amounts], Tensor], ...] = (
    gamma, brightness, sharpness, hue_saturation, solarize,
    posterize, invert, autocontrast, equalize, rotate,
)  # fmt: skip


def _range(amount: float, low: float, high: float) -> float:
    return low + (high - low) * amount


def _per_channel(x: Tensor, amounts: Amounts) -> Tensor:
    return _there(amounts, x).view(3, 1, 1)


def _grey(x: Tensor) -> Tensor:
    weights = _there(_GREY, x).view(3, 1, 1)
    return (x * weights).sum(0, keepdim=True)


def _hue_rotation(degrees: float, x: Tensor) -> Tensor:
    """Return the rotation (3, 3) of colour space about its grey axis."""
    angle = torch.deg2rad(torch.tensor(degrees))
    cos, sin = float(angle.cos()), float(angle.sin())
    third, root = (1.0 - cos) / 3.0, sin / 3.0**0.5
    same, before, after = cos + third, third - root, third + root
    return _there([same, before, after, after, same, before, before, after, same], x).view(3, 3)


def _there(values: Sequence[float], x: Tensor) -> Tensor:
    """Return values as float32 on the device of ``x``."""
    return upload(np.array(values, np.float32), x.device)
