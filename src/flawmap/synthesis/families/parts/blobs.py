"""Outlines of pieces: ellipses, boxes and lobed blobs of any size, as one signed field."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from flawmap.synthesis.families.parts.dice import Dice


@dataclass(frozen=True)
class Blob:
    """One outline per sample, each field (B, 1, 1, 1).

    In polar coordinates of a stretched and rotated plane the outline is
    ``radius · (1 + third·cos(3φ) + fifth·cos(5φ - phase))``; a box is one in the maximum norm.
    """

    radius: Tensor
    stretch: Tensor
    angle: Tensor
    third: Tensor
    fifth: Tensor
    phase: Tensor
    box: Tensor  # 0 or 1

    @classmethod
    def draw(cls, dice: Dice, radius: Tensor) -> Blob:
        """Draw a blob with about the area of a disc of ``radius`` pixels."""
        return cls(
            radius=radius,
            stretch=dice.log_uniform(1.0, 2.0),
            angle=dice.angle(),
            third=dice.uniform(0.0, 0.3),
            fifth=dice.uniform(0.0, 0.15),
            phase=dice.angle(),
            box=dice.chance(0.3).float(),
        )

    def inside(self, down: Tensor, across: Tensor) -> Tensor:
        """Return the approximate distance in pixels to the outline, (B, 1, H, W); > 0 inside.

        ``down`` and ``across``: the places' offsets from the centre, which broadcast.
        """
        cos, sin = self.angle.cos(), self.angle.sin()
        u = (across * cos + down * sin) / self.stretch
        v = (down * cos - across * sin) * self.stretch
        length = torch.hypot(u, v).clamp(min=1e-3)
        lobes = 1 + self._lobes(u / length, v / length)
        reach = torch.lerp(lobes, torch.full_like(lobes, 0.886), self.box)  # of a disc's area
        far = torch.lerp(length, torch.maximum(u.abs(), v.abs()), self.box)
        return self.radius * reach - far

    def _lobes(self, cos: Tensor, sin: Tensor) -> Tensor:
        """Compute the lobes from cos(φ) and sin(φ) by the multiple-angle formulas."""
        cos2, sin2 = cos * cos - sin * sin, 2 * cos * sin
        cos3, sin3 = cos2 * cos - sin2 * sin, sin2 * cos + cos2 * sin
        cos5, sin5 = cos3 * cos2 - sin3 * sin2, sin3 * cos2 + cos3 * sin2
        fifth_lobes = cos5 * self.phase.cos() + sin5 * self.phase.sin()
        return self.third * cos3 + self.fifth * fifth_lobes


def coverage(inside: Tensor, feather: float | Tensor) -> Tensor:
    """Map signed distance to 0..1: one half on the outline, a ramp ``feather`` pixels wide."""
    return (inside / feather + 0.5).clamp(0, 1)
