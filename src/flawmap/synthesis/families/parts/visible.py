"""Where a changed image differs visibly from the good one."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from flawmap.synthesis.families.parts.pixels import cells, closed, difference, enlarged, near

FLOOR = 2.5 / 255  # mean difference over the channels and 3x3 pixels
_LEAST = 5 / 255  # the same where content was replaced
_SHARE = 0.25  # share of a piece that must be visible for all of it to count
_SURE = 40 / 255  # any such difference above this is visible
_SURE_FAR = 25 / 255  # the same over 12 pixels
_STEPS = 2.5  # a step of grey counts as much as this difference over 12 pixels
_UNUSUAL = 10  # times the lower quartile: about the 95th to 98th percentile of fabrics and roads
_CELL = 4


def visible(clean: Tensor, changed: Tensor) -> Tensor:
    """Return bool (B, 1, H, W): the 3x3 difference exceeds the floor here or nearby.

    ``clean`` and ``changed`` (B, 3, H, W) in 0..1.
    """
    return closed(near(difference(changed, clean)) > FLOOR)


def visible_in_texture(clean: Tensor, changed: Tensor, touched: Tensor) -> Tensor:
    """Like :func:`visible` for replaced content: grain replaced by similar grain is not visible.

    In addition, grey over 3x3 pixels, or grey and its steps over 12, must differ by more than is
    usual between neighbouring places of the good image. If a good share of ``touched``
    (B, 1, H, W) bool does, all of it that differs at all is visible. Nothing outside it is.
    """
    change = changed - clean
    any_change, net = near(change.abs().mean(1, keepdim=True)), near(change)
    before, after = clean.mean(1, keepdim=True), changed.mean(1, keepdim=True)
    limit = _limit(near(before), (9, 11), _SURE)
    differs = (net.mean(1, keepdim=True).abs_() > limit) | (
        net.abs_().mean(1, keepdim=True) > _SURE
    )
    differs = near(near(differs.float())) > 0.5  # drops isolated pixels

    before, after = _describe(before), _describe(after)
    limit = _limit(before, (5, 6), _SURE_FAR)
    far = ((after - before).abs_() > limit).any(1, keepdim=True).float()
    differs |= enlarged(far, (clean.shape[-2], clean.shape[-1])) > 0.5
    differs &= touched
    enough = differs.sum((2, 3), keepdim=True) > _SHARE * touched.sum((2, 3), keepdim=True)
    return (differs | (enough & touched)) & closed(any_change > _LEAST)


def _describe(grey: Tensor) -> Tensor:
    """Describe 12x12 pixels, (B, 3, h, w): their grey, its steps across and down."""
    across = F.pad((grey[..., 1:] - grey[..., :-1]).abs_(), (0, 1))
    down = F.pad((grey[..., 1:, :] - grey[..., :-1, :]).abs_(), (0, 0, 0, 1))
    return near(cells(torch.cat([grey, across * _STEPS, down * _STEPS], 1), _CELL))


def _limit(values: Tensor, step: tuple[int, int], most: float) -> Tensor:
    """Return the limit (B, C, 1, 1) of usual differences of (B, C, h, w) at offset ``step``.

    Any difference above ``most`` is unusual.
    """
    stride = max(1, values.shape[-2] // 32)
    there = values.roll(step, (2, 3))[..., ::stride, ::stride]
    unlike = (there - values[..., ::stride, ::stride]).abs_().flatten(2)
    quartile = unlike.kthvalue(max(1, unlike.shape[2] // 4), 2).values
    return (_UNUSUAL * quartile).clamp(FLOOR, most)[..., None, None]
