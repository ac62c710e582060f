"""Faint changes: the image slightly brighter, paler, recoloured or out of focus."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from flawmap.synthesis.families.parts.blobs import Blob, coverage
from flawmap.synthesis.families.parts.dice import Dice
from flawmap.synthesis.families.parts.pixels import cells, enlarged, near
from flawmap.synthesis.families.parts.visible import visible
from flawmap.synthesis.families.scene import Scene

_SMALLEST = 2.0  # pixels of radius
_STRENGTH = (0.02, 0.3)
_RECOLOURED = 5  # kinds: brightness, contrast, channels, saturation, hue
_KINDS = 7  # then blurred, sharpened; the first, visible on any ground, is twice as frequent


def faint(scene: Scene) -> tuple[Tensor, Tensor]:
    """Change the image inside a blob; return images and masks."""
    dice, clean = scene.dice, scene.clean
    blob = Blob.draw(dice, scene.radius(_SMALLEST))
    row, column = scene.pick(scene.allowed)
    inside = blob.inside(scene.rows - row, scene.columns - column)
    weight = coverage(inside, dice.log_uniform(1.0, 1 + blob.radius)) * scene.allowed
    kind, strength = np.floor(dice.host() * (_KINDS + 1)) % _KINDS, dice.log_uniform(*_STRENGTH)
    colours, focus = dice.reserve(4), dice.reserve(1)
    changed = clean
    if (kind < _RECOLOURED).any():
        changed = _recoloured(scene, colours, _mean(clean, weight), kind, strength)
    if (blurred := kind >= _RECOLOURED).any():
        refocused = _refocused(scene, focus, kind, strength)
        changed = torch.lerp(changed, refocused, dice.weight(blurred))
    changed = torch.lerp(clean, changed, weight).clamp_(0, 1)
    return changed, visible(clean, changed) & (weight > 0)


def _mean(clean: Tensor, weight: Tensor) -> Tensor:
    """Return the weighted mean colour (B, 3, 1, 1)."""
    total = weight.sum((2, 3), keepdim=True).clamp(min=1e-6)
    return (clean * weight).sum((2, 3), keepdim=True) / total


def _recoloured(
    scene: Scene, dice: Dice, mean: Tensor, kinds: np.ndarray, strength: Tensor
) -> Tensor:
    """Map each colour x to Ax + b for the first five kinds. Grey images stay grey."""
    clean = scene.clean
    kind = dice.to(kinds)[:, None, None, None]
    kind = torch.where((scene.grey > 0) & (kind > 1), kind % 2, kind)
    sign, gains = dice.sign(), torch.cat([dice.uniform(-2, 2) for _ in range(3)], 3)  # (B,1,1,3)
    factor = 1 + strength * torch.where(sign < 0, -3.3, 8.0)  # 0 to 3
    same = torch.eye(3, device=clean.device)
    grey = torch.full((3, 3), 1 / 3, device=clean.device)
    matrix = torch.where(kind == 1, factor * same, same)  # (B, 1, 3, 3)
    matrix = torch.where(kind == 2, same * (1 + strength * gains), matrix)
    matrix = torch.where(kind == 3, grey + factor * (same - grey), matrix)
    matrix = torch.where(kind == 4, _hue_rotation(sign * strength * 2 * math.pi), matrix)
    shift = torch.where(kind == 1, mean * (1 - factor), (kind == 0) * sign * strength)
    return (matrix[:, 0] @ clean.flatten(2)).view_as(clean) + shift


def _refocused(scene: Scene, dice: Dice, kinds: np.ndarray, strength: Tensor) -> Tensor:
    """Blur or sharpen."""
    clean = scene.clean
    soft, softer = near(clean), enlarged(cells(clean, 4), scene.size)
    blurred = torch.lerp(soft, softer, dice.uniform(0, 1))
    sharp = dice.weight(kinds == _KINDS - 1)
    amount = torch.lerp((8 * strength).clamp(max=1), -6 * strength, sharp)
    return torch.lerp(clean, blurred, amount)


def _hue_rotation(angle: Tensor) -> Tensor:
    """Rotations (B, 1, 3, 3) of colour space about its grey axis by ``angle`` (B, 1, 1, 1)."""
    cos, sin = angle.cos(), angle.sin()
    third, root = (1 - cos) / 3, sin / math.sqrt(3)
    same, before, after = cos + third, third - root, third + root
    rows = [same, before, after, after, same, before, before, after, same]
    return torch.cat(rows, 3).view(-1, 1, 3, 3)
