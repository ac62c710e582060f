"""Input of an anomaly family: its good images and their properties."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

from flawmap.synthesis.families.parts.dice import Dice
from flawmap.synthesis.families.parts.pixels import soft
from flawmap.synthesis.perlin import perlin_noise

_MOST = 0.8  # share of the image above which the part has no background
_LARGE = 0.3  # share of the pieces that are large
_GREY = 0.02  # mean range of the channels
_PLACES = 32  # rows and columns of candidate centres


@dataclass(frozen=True)
class Scene:
    """Samples of one family in a batch. Masks are float, 0 or 1, (B, 1, H, W)."""

    clean: Tensor  # (B, 3, H, W) in 0..1
    other: Tensor  # another good image each, or the same if there is no other
    texture: Tensor  # one for each
    foreground: Tensor  # bool (B, 1, H, W)
    confined: Tensor  # (B, 1, 1, 1): 1 if the anomaly is confined to the part, else 0
    dice: Dice
    lattice: Tensor  # (B, L, L) angles

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.clean.shape[-2], self.clean.shape[-1]

    @cached_property
    def part(self) -> Tensor:
        """The part and a narrow rim; the whole image if nothing stands out."""
        mask = self.foreground.float()
        return mask.maximum(1 - mask.amax((2, 3), keepdim=True))

    @cached_property
    def stands_free(self) -> Tensor:
        """Whether the part has enough background around it, bool (B, 1, 1, 1)."""
        return self.part.mean((2, 3), keepdim=True) < _MOST

    @cached_property
    def allowed(self) -> Tensor:
        """Where an anomaly may lie, 0 to 1."""
        return soft(self.part, 8).maximum(1 - self.confined)

    @cached_property
    def reach(self) -> Tensor:
        """Radius (B, 1, 1, 1) of a disc with a third of the part's area."""
        return (self.part.sum((2, 3), keepdim=True) / (3 * math.pi)).sqrt()

    def radius(self, least: float) -> Tensor:
        """Draw radii (B, 1, 1, 1) from ``least`` pixels to the reach: of any size, or large."""
        large = self.dice.uniform(0.4, 1.0) * self.reach
        small = self.dice.log_uniform(least, self.reach)
        return torch.where(self.dice.chance(_LARGE), large, small)

    @cached_property
    def grey(self) -> Tensor:
        """1 if an image has no colour, else 0, (B, 1, 1, 1)."""
        spans = self.clean.amax(1, keepdim=True) - self.clean.amin(1, keepdim=True)
        return (spans.mean((2, 3), keepdim=True) < _GREY).float()

    @cached_property
    def rows(self) -> Tensor:
        """Row numbers (H, 1)."""
        return torch.arange(self.size[0], device=self.clean.device, dtype=torch.float32)[:, None]

    @cached_property
    def columns(self) -> Tensor:
        """Column numbers (W,)."""
        return torch.arange(self.size[1], device=self.clean.device, dtype=torch.float32)

    def noise(self, cells: Tensor, which: int = 0) -> Tensor:
        """Return Perlin noise (B, 1, H, W), ``cells`` (B, 1, 1, 1) per side; ``which``: 0 to 3."""
        count = cells.flatten(1).expand(-1, 2)
        return perlin_noise(self.size, count, self.random(which))[:, None]

    def pick(self, where: Tensor, which: int = 0) -> tuple[Tensor, Tensor]:
        """Pick row and column (B, 1, 1, 1), integers, of a random place mostly inside ``where``.

        If there is none, pick any place. ``where``: a mask; ``which``: 0 to 3.
        """
        share = F.adaptive_avg_pool2d(where, _PLACES).flatten(1)
        score = self.random(which)[:, :_PLACES, :_PLACES].flatten(1) / (2 * math.pi)
        best = (score + (share > 0).float() + (share > 0.5).float()).argmax(1)[:, None, None, None]
        height, width = self.size
        row = (best // _PLACES + 0.5) * (height / _PLACES)
        column = (best % _PLACES + 0.5) * (width / _PLACES)
        return row.floor(), column.floor()

    def random(self, which: int) -> Tensor:
        """The lattice of angles (B, L, L), or one of its mirror images; ``which``: 0 to 3."""
        return self.lattice.flip([(), (1,), (2,), (1, 2)][which])
