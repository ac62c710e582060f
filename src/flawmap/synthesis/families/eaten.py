"""Edges in the wrong place: bitten, nibbled, grown, or shifted."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from flawmap.synthesis.families.filling import fill, outline, shift_mirrored
from flawmap.synthesis.families.parts.blobs import Blob, coverage
from flawmap.synthesis.families.parts.dice import Dice
from flawmap.synthesis.families.parts.pixels import soft, wider
from flawmap.synthesis.families.parts.visible import visible_in_texture
from flawmap.synthesis.families.scene import Scene

_SMALLEST = 3.0  # pixels of radius
_FEATHER = 1.5  # pixels
_BAND = 8  # approximate width in pixels of the nibbled band along the edge

Place = tuple[Tensor, Tensor]  # row and column


def eaten(scene: Scene) -> tuple[Tensor, Tensor]:
    """Replace a bite at an edge by the content of one side; return images and masks.

    The part's own edge is bitten or nibbled, or the part grows beyond it. Sometimes, and
    always if the part has no background, adjacent content is shifted over any strong edge.
    """
    dice, clean = scene.dice, scene.clean
    kind, detail, nibbles = dice.host(), dice.host(), dice.reserve(2)
    blob = Blob.draw(dice, dice.log_uniform(_SMALLEST, 0.6 * scene.reach))
    place = scene.pick(_edges(clean))
    source = _beside(scene, place, blob.radius)
    own = torch.zeros_like(blob.radius)
    if (kind > 0.3).any():
        own = dice.weight(kind > 0.3) * scene.stands_free  # the part's own edge
        background = fill(scene, scene.part, own, detail)
        part = outline(scene, background)
        core = ~wider(~part)
        place = _mix(place, scene.pick((wider(part) & ~core).float()), own)
        source = _mix(source, scene.pick(core.float(), 3), own)

    bite = coverage(blob.inside(scene.rows - place[0], scene.columns - place[1]), _FEATHER)
    content = shift_mirrored(clean, source[0] - place[0], source[1] - place[1])
    if (kind > 0.3).any():
        grown = dice.weight(kind > 0.8)
        if (nibbled := (kind > 0.3) & (kind < 0.5)).any():
            bite = torch.lerp(
                bite, _nibbles(scene, nibbles, part.float()), dice.weight(nibbled) * own
            )
        side = torch.lerp(part.float(), (~part).float(), grown)
        bite = bite * side.maximum(1 - own)
        content = torch.lerp(content, background, own * (1 - grown))
    changed = torch.lerp(clean, content, bite)
    return changed, visible_in_texture(clean, changed, bite > 0)


def _beside(scene: Scene, place: Place, radius: Tensor) -> Place:
    """Return a place one to two and a half radii away."""
    way, distance = scene.dice.angle(), scene.dice.uniform(1.0, 2.5) * radius
    down, across = (distance * way.sin()).round(), (distance * way.cos()).round()
    return place[0] + down, place[1] + across


def _mix(a: Place, b: Place, weight: Tensor) -> Place:
    return torch.lerp(a[0], b[0], weight), torch.lerp(a[1], b[1], weight)


def _edges(clean: Tensor) -> Tensor:
    """Mark 4x4 cells whose grey range is at least half of the image's largest.

    0 or 1, (B, 1, H / 4, W / 4).
    """
    grey = clean.mean(1, keepdim=True)
    span = F.max_pool2d(grey, 4) + F.max_pool2d(-grey, 4)
    return (span > 0.5 * span.amax((2, 3), keepdim=True)).float()


def _nibbles(scene: Scene, dice: Dice, part: Tensor) -> Tensor:
    """Return blots in a band along the part's edge, 0..1."""
    share = soft(part, _BAND)
    rough = scene.noise(dice.log_uniform(8, 32.99).floor(), 2)
    band = ((share > 0.1) & (share < 0.9)).float()
    return (20 * (rough - dice.uniform(0.05, 0.35))).clamp(0, 1) * band
