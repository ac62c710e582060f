"""Scratches, hairs and cracks: long strokes with a bright or dark core, some with a lit rim."""

from __future__ import annotations

import torch
from torch import Tensor

from flawmap.synthesis.families.parts.dice import Dice
from flawmap.synthesis.families.parts.visible import visible
from flawmap.synthesis.families.scene import Scene

WIDTH = (1.0, 4.0)  # pixels
_STROKES = 2  # at most
_SHORTEST = 12.0  # pixels
_FINEST = 32.99


def scratch(scene: Scene) -> tuple[Tensor, Tensor]:
    """Draw one or two strokes; return images and masks."""
    dice, clean = scene.dice, scene.clean
    jagged = dice.log_uniform(0.3, 6.0) * dice.chance(0.5)  # pixels, either side
    rough = scene.noise(dice.log_uniform(8, _FINEST).floor())
    width, heading = dice.log_uniform(*WIDTH), dice.angle()
    core, rim = torch.zeros_like(rough), torch.zeros_like(rough)
    for number in range(_STROKES):
        pen = dice.reserve(7)
        there = pen.host() < 1 / (1 + number)
        if not there.any():
            continue
        direction = heading + pen.uniform(-0.3, 0.3) * number
        aside, along = _stroke(scene, pen, direction, jagged * rough, number)
        thin = width * (1 - pen.uniform(0, 0.9) * (2 * along).square().clamp_(max=1))
        short = (along.abs() < 0.5) * dice.weight(there)
        core = core.maximum((thin / 2 - aside.abs() + 0.5).clamp_(0, 1) * short)
        rim = rim.maximum((thin / 2 - (aside - thin).abs() + 0.5).clamp_(0, 1) * short)
    whole = (rough.flip(-1) > torch.where(dice.chance(0.3), 0.0, -9.0)) * scene.allowed
    core = core * whole
    rim = rim * whole * (1 - core) * dice.chance(0.4)
    changed = _ink(scene, core, rim)
    return changed, visible(clean, changed) & (core + rim > 0)


def _stroke(
    scene: Scene, dice: Dice, heading: Tensor, rough: Tensor, which: int
) -> tuple[Tensor, Tensor]:
    """Return signed pixel distance from a bent line, and position along it: on it -.5 to .5."""
    row, column = scene.pick(scene.allowed, which)
    length = dice.log_uniform(_SHORTEST, float(max(scene.size)))
    bend = dice.log_uniform(0.02, 1.5) * dice.sign()
    twist = dice.uniform(-1, 1) * bend.abs()
    cos, sin = heading.cos() / length, heading.sin() / length
    down, across = scene.rows - row, scene.columns - column
    along = across * cos + down * sin
    aside = down * cos - across * sin - along.square() * (bend + twist * along)
    slope = along * (2 * bend + 3 * twist * along)
    return (aside * length + rough) * (1 + slope.square()).rsqrt(), along


def _ink(scene: Scene, core: Tensor, rim: Tensor) -> Tensor:
    """Apply the strokes: darker or brighter than the image below, the rim the opposite."""
    dice, clean = scene.dice, scene.clean
    white, depth = dice.chance(0.5).float(), dice.log_uniform(0.08, 0.95)
    marked = torch.lerp(clean, white.expand_as(clean), core * depth)
    return torch.lerp(marked, (1 - white).expand_as(clean), rim * dice.uniform(0.1, 0.5))
