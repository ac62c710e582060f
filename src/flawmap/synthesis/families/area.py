"""Large areas: thin layers of foreign texture, colour casts, stains with a tide mark."""

from __future__ import annotations

import torch
from torch import Tensor

from flawmap.synthesis.families.parts.visible import visible
from flawmap.synthesis.families.scene import Scene

SHARE = (0.1, 0.4)  # of the image
SHARE_OF_PART = (0.1, 1 / 3)
_STEP = 4  # sampling stride in pixels to find the threshold
_CELLS = 4


def area(scene: Scene) -> tuple[Tensor, Tensor]:
    """Cover a large, smooth area; return images and masks."""
    dice, clean = scene.dice, scene.clean
    field = scene.noise(dice.log_uniform(1, _CELLS + 0.99).floor())
    most = SHARE[1] + (SHARE_OF_PART[1] - SHARE[1]) * scene.confined
    height = field - _cut(field, scene.allowed, dice.uniform(SHARE[0], most))
    weight = (height / dice.log_uniform(0.01, 0.3)).clamp_(0, 1) * scene.allowed
    changed = torch.lerp(clean, _cover(scene, height), weight).clamp_(0, 1)
    return changed, visible(clean, changed) & (weight > 0)


def _cut(field: Tensor, allowed: Tensor, share: Tensor) -> Tensor:
    """Return the value (B, 1, 1, 1) above which ``share`` of the allowed places lie."""
    values = field[..., ::_STEP, ::_STEP].flatten(1)
    open_ = allowed[..., ::_STEP, ::_STEP].flatten(1)
    ranked = (values - 99 * (1 - open_)).sort(1, descending=True).values
    count = (share.flatten(1) * open_.sum(1, keepdim=True)).long()
    return ranked.gather(1, count.clamp(max=ranked.shape[1] - 1))[:, :, None, None]


def _cover(scene: Scene, height: Tensor) -> Tensor:
    """Cover the whole image with a layer, a cast or a stain."""
    dice, clean = scene.dice, scene.clean
    kind = dice.host()
    opacity, plain = dice.log_uniform(0.05, 0.4), dice.uniform(0, 1)
    tint = torch.cat([plain + dice.uniform(-0.3, 0.3) for _ in range(3)], 1).clamp(0, 1)
    mark_width = dice.log_uniform(0.02, 0.1)
    tint = torch.lerp(tint, tint.mean(1, keepdim=True), scene.grey)
    layer = torch.lerp(tint, scene.texture, dice.weight(kind < 1 / 3))
    changed = torch.lerp(clean, layer, opacity)
    if (stained := kind > 2 / 3).any():
        mark = (1 - (height / mark_width - 1).abs()).clamp_(0, 1)  # inside the rim
        stain = clean * (1 - opacity * (1 - 0.7 * tint) * (1 + mark))
        changed = torch.lerp(changed, stain, dice.weight(stained))
    return changed
