"""What a texture may go through before it becomes an anomaly.

DRAEM (Zavrtanik et al., ICCV 2021) applies three of ten imgaug operations to each texture; these
are the ten, with its ranges. Each takes a picture (3, H, W) in 0..1 and three amounts in 0..1, and
gives a new picture in 0..1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from flawmap.synthesis.perlin import turn

Amounts = Sequence[float]
_GREY = (0.299, 0.587, 0.114)


def gamma(x: Tensor, amounts: Amounts) -> Tensor:
    """Gamma contrast, each channel by its own exponent in 0.5..2."""
    return x.pow(0.5 + 1.5 * _per_channel(x, amounts))


def brightness(x: Tensor, amounts: Amounts) -> Tensor:
    """Times 0.8..1.2, plus up to 30 of 255 either way."""
    return (x * _range(amounts[0], 0.8, 1.2) + _range(amounts[1], -30, 30) / 255).clamp(0, 1)


def sharpness(x: Tensor, amounts: Amounts) -> Tensor:
    """From smoothed (0) over unchanged (1) to sharpened (2): away from its 3x3 mean."""
    soft = F.avg_pool2d(F.pad(x[None], (1, 1, 1, 1), mode="replicate"), 3, 1)[0]
    return torch.lerp(soft, x, _range(amounts[0], 0.0, 2.0)).clamp(0, 1)


def hue_saturation(x: Tensor, amounts: Amounts) -> Tensor:
    """Hue turned by up to 70 degrees and saturation moved by up to a fifth, either way."""
    grey = _grey(x)
    colour = x - grey
    turned = torch.einsum("ij,jhw->ihw", _hue_turn(_range(amounts[0], -70, 70), x), colour)
    return (grey + turned * (1.0 + _range(amounts[1], -0.2, 0.2))).clamp(0, 1)


def solarize(x: Tensor, amounts: Amounts) -> Tensor:
    """Inverted above a threshold of 32..128 of 255, every other time."""
    if amounts[0] < 0.5:
        return x
    return torch.where(x >= _range(amounts[1], 32, 128) / 255, 1.0 - x, x)


def posterize(x: Tensor, amounts: Amounts) -> Tensor:
    """Two to 256 levels of each channel."""
    step = 2.0 ** -(1 + int(amounts[0] * 7.999))
    return (x / step).floor().clamp(max=1.0 / step - 1) * step


def invert(x: Tensor, amounts: Amounts) -> Tensor:
    """Its negative."""
    del amounts
    return 1.0 - x


def autocontrast(x: Tensor, amounts: Amounts) -> Tensor:
    """Each channel stretched to the full range, but for up to 20 % at either end."""
    cut = _range(amounts[0], 0.0, 0.2)
    flat = x.flatten(1).sort(1).values
    last = flat.shape[1] - 1
    low = flat[:, round(cut * last), None, None]
    high = flat[:, round((1.0 - cut) * last), None, None]
    return ((x - low) / (high - low).clamp(min=1e-3)).clamp(0, 1)


def equalize(x: Tensor, amounts: Amounts) -> Tensor:
    """Each channel's levels spread evenly: a value becomes the share of pixels not above it."""
    del amounts
    levels = (x * 255).round().long().flatten(1)
    counts = torch.zeros(3, 256, device=x.device).scatter_add_(
        1, levels, torch.ones_like(levels, dtype=torch.float32)
    )
    shares = counts.cumsum(1) / levels.shape[1]
    return shares.gather(1, levels).view_as(x)


def rotate(x: Tensor, amounts: Amounts) -> Tensor:
    """Turned by up to 45 degrees either way; black beyond its rim."""
    degrees = torch.tensor([_range(amounts[0], -45, 45)], device=x.device)
    return turn(x[None], degrees)[0]


OPERATIONS: tuple[Callable[[Tensor, Amounts], Tensor], ...] = (
    gamma, brightness, sharpness, hue_saturation, solarize,
    posterize, invert, autocontrast, equalize, rotate,
)  # fmt: skip


def _range(amount: float, low: float, high: float) -> float:
    return low + (high - low) * amount


def _per_channel(x: Tensor, amounts: Amounts) -> Tensor:
    return torch.tensor(list(amounts), device=x.device).view(3, 1, 1)


def _grey(x: Tensor) -> Tensor:
    weights = torch.tensor(_GREY, device=x.device).view(3, 1, 1)
    return (x * weights).sum(0, keepdim=True)


def _hue_turn(degrees: float, x: Tensor) -> Tensor:
    """Rotation of colour space about its grey axis (3, 3)."""
    angle = torch.deg2rad(torch.tensor(degrees))
    cos, sin = float(angle.cos()), float(angle.sin())
    third, root = (1.0 - cos) / 3.0, sin / 3.0**0.5
    same, before, after = cos + third, third - root, third + root
    return torch.tensor(
        [[same, before, after], [after, same, before], [before, after, same]], device=x.device
    )
