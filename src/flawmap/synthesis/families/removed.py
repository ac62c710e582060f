"""Missing pieces: a hole, a part broken off, or no part at all."""

from __future__ import annotations

import torch
from torch import Tensor

from flawmap.synthesis.families.filling import fill
from flawmap.synthesis.families.parts.blobs import Blob, coverage
from flawmap.synthesis.families.parts.dice import Dice
from flawmap.synthesis.families.parts.pixels import soft
from flawmap.synthesis.families.parts.visible import visible_in_texture
from flawmap.synthesis.families.scene import Scene

_SMALLEST = 2.0  # pixels of radius
_FEATHER = 1.5  # pixels


def removed(scene: Scene) -> tuple[Tensor, Tensor]:
    """Replace a piece by its surroundings or the background; return images and masks."""
    dice = scene.dice
    kind, detail, line = dice.host(), dice.host(), dice.reserve(3)
    through = dice.weight(kind > 0.4) * scene.stands_free  # to the background
    blob = Blob.draw(dice, scene.radius(_SMALLEST))
    row, column = scene.pick(scene.part)
    inside = blob.inside(scene.rows - row, scene.columns - column)
    filled = fill(scene, torch.lerp((inside > -1).float(), scene.part, through), through, detail)
    if (broken := kind > 0.65).any():
        beyond = _beyond_a_line(scene, line, row, column)
        inside = torch.lerp(inside, beyond, dice.weight(broken) * through)
    piece = coverage(inside, _FEATHER).maximum(dice.weight(kind > 0.85) * through)
    piece = piece * soft(scene.part).maximum(1 - through)
    changed = torch.lerp(scene.clean, filled, piece)
    return changed, visible_in_texture(scene.clean, changed, piece > 0)


def _beyond_a_line(scene: Scene, dice: Dice, row: Tensor, column: Tensor) -> Tensor:
    """Return the distance (B, 1, H, W) in pixels beyond a rough line; below 0 on the near side."""
    angle, depth = dice.angle(), dice.log_uniform(0.5, 8.0)
    line = (scene.rows - row) * angle.sin() + (scene.columns - column) * angle.cos()
    return line + depth * scene.noise(dice.log_uniform(4, 32.99).floor(), 2)
