"""Pieces of this or another image moved, copied, rotated, mirrored or bent."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from flawmap.synthesis.families.filling import fill, outline
from flawmap.synthesis.families.parts.blobs import Blob, coverage
from flawmap.synthesis.families.parts.dice import Dice
from flawmap.synthesis.families.parts.pixels import near, soft, wider
from flawmap.synthesis.families.parts.visible import visible_in_texture
from flawmap.synthesis.families.scene import Scene

_SMALLEST = 3.0  # pixels of radius
_NEAREST = 3.0  # minimum distance in pixels from the old place to the new
_FEATHER = 1.5  # pixels


@dataclass(frozen=True)
class _Kind:
    """Operation on each sample's piece, all bool (B,)."""

    whole: np.ndarray  # the piece is the part
    far: np.ndarray  # it moves anywhere, not just near its old place
    leaves: np.ndarray  # its old place is empty afterwards
    stays: np.ndarray  # it is rotated or mirrored in place
    bent: np.ndarray  # it is pulled to one side; its rim stays
    foreign: np.ndarray  # it comes from another image

    @classmethod
    def draw(cls, dice: Dice) -> _Kind:
        """Draw a kind: piece copied, moved, rotated or bent; part moved, rotated or doubled."""
        kind, whole = dice.host(), dice.host() < 0.3
        stays = (kind > 0.4) & (kind < 0.6)
        bent = (kind < 0.2) & ~whole
        far = (dice.host() < 0.4) & ~stays
        foreign = (dice.host() < 0.3) & ~whole & ~bent
        return cls(whole, far, (kind > 0.4) | (whole & ~far), stays, bent, foreign)


def moved(scene: Scene) -> tuple[Tensor, Tensor]:
    """Put a piece somewhere else; return images and masks."""
    dice, clean = scene.dice, scene.clean
    kind, detail = _Kind.draw(dice), dice.host()
    whole, bent = dice.weight(kind.whole) * scene.stands_free, dice.weight(kind.bent)
    blob = Blob.draw(dice, scene.radius(_SMALLEST))
    place = scene.pick(scene.part)
    inside = blob.inside(scene.rows - place[0], scene.columns - place[1])
    own = piece = coverage(inside, _FEATHER)
    base, left = clean, torch.zeros_like(own)
    if (kind.leaves | kind.whole).any():
        hole = torch.lerp((inside > -1).float(), scene.part, whole)
        emptied = fill(scene, hole, whole, detail)
        left = torch.lerp(own, soft(scene.part), whole) * dice.weight(kind.leaves)
        base = torch.lerp(clean, emptied, left)
        if kind.whole.any():
            part = wider(outline(scene, emptied)).float()
            piece, place = torch.lerp(own, near(part), whole), _centre(part, place, whole)

    source = torch.lerp(clean, scene.other, dice.weight(kind.foreign))
    path = _path(scene, kind, place)
    pulled = _pulled(scene, (inside / blob.radius).clamp_(0, 1).square() * blob.radius)
    rows, columns = (torch.lerp(a, b, bent) for a, b in zip(path, pulled, strict=True))
    content, laid = _sample(source, piece, rows, columns)
    laid = torch.lerp(laid, own, bent)
    changed = torch.lerp(base, content, laid)
    return changed, visible_in_texture(clean, changed, laid + left > 0)


def _path(scene: Scene, kind: _Kind, place: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Return source rows and columns (B, 1, H, W) for each place of the image."""
    dice = scene.dice
    stays = dice.weight(kind.stays)
    distance = dice.log_uniform(_NEAREST, 0.3 * min(scene.size)) * (1 - stays)
    way, far = dice.angle(), dice.weight(kind.far)
    anywhere = [dice.uniform(0, side).floor() for side in scene.size]
    ahead = [place[0] + distance * way.sin(), place[1] + distance * way.cos()]
    row, column = (torch.lerp(b, a, far).round() for a, b in zip(anywhere, ahead, strict=True))
    angle, mirror = _turn(dice, stays)
    down, across = scene.rows - row, scene.columns - column
    back_down = down * angle.cos() - across * angle.sin()
    back_across = down * angle.sin() + across * angle.cos()
    return place[0] + back_down, place[1] + back_across * mirror


def _turn(dice: Dice, stays: Tensor) -> tuple[Tensor, Tensor]:
    """Return radians, and -1 if mirrored, else 1; a piece that stays is always changed."""
    how, quarters = dice.uniform(0, 1), dice.uniform(0, 4).floor()
    free = dice.uniform(-math.pi, math.pi) * torch.where(dice.chance(0.4), 0.1, 1.0)
    angle = torch.where(how < 0.3, quarters * (math.pi / 2), torch.where(how < 0.65, free, 0.0))
    mirror = torch.where(dice.chance(0.25), -1.0, 1.0)
    return torch.where((stays > 0) & (angle == 0) & (mirror > 0), math.pi, angle), mirror


def _pulled(scene: Scene, pull: Tensor) -> tuple[Tensor, Tensor]:
    """Return each place's source rows and columns, ``pull`` pixels to one side."""
    way, amount = scene.dice.angle(), scene.dice.uniform(0.15, 0.7) * pull
    return scene.rows + amount * way.sin(), scene.columns + amount * way.cos()


def _centre(part: Tensor, place: tuple[Tensor, Tensor], whole: Tensor) -> tuple[Tensor, Tensor]:
    """Return the part's centre if the piece is the part, else the piece's own."""
    total = part.sum((2, 3), keepdim=True).clamp(min=1)
    centre = []
    for axis, own in zip((2, 3), place, strict=True):
        line = part.sum(5 - axis, keepdim=True)
        count = torch.arange(part.shape[axis], device=part.device).view_as(line[:1])
        middle = (line * count).sum((2, 3), keepdim=True) / total
        centre.append(torch.lerp(own, middle.round(), whole))
    return centre[0], centre[1]


def _sample(images: Tensor, piece: Tensor, rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
    """Sample images and pieces at (B, 1, H, W) in pixels, bilinearly; no piece lies outside."""
    height, width = images.shape[-2:]
    across, down = (2 * columns + 1) / width - 1, (2 * rows + 1) / height - 1
    grid, both = torch.stack([across, down], -1)[:, 0], torch.cat([images, piece], 1)
    samples = F.grid_sample(both, grid, padding_mode="border", align_corners=False)
    return samples[:, :3], samples[:, 3:] * ((across.abs() < 1) & (down.abs() < 1))
