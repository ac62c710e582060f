"""Product family: a printed circuit board with a chip, passives, a header and traces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from flawmap.demonstration.families import EPOXY, GOLD, INK, SOLDER_MASKS, TIN, Finish
from flawmap.demonstration.surface import Colour, Surface, box, disc

PITCH = 0.085


@dataclass(frozen=True)
class Board:
    """A circuit board; its features that can be missing are passives and header pads."""

    mask: str
    finish: Finish
    half: tuple[float, float]
    pins: int
    pads: int
    chip: tuple[float, float]
    passives: tuple[tuple[float, float, bool], ...]
    bends: tuple[float, ...]
    brittle: ClassVar[bool] = True

    @classmethod
    def sample(cls, rng: np.random.Generator, turn: int) -> Board:
        """Draw shape and counts from `rng`; `turn` cycles through the solder masks."""
        half = (rng.uniform(0.74, 0.80), rng.uniform(0.56, 0.72))
        pins, side = int(rng.integers(4, 7)), rng.choice([-1, 1])
        chip = (float(side * rng.uniform(0.24, 0.32)), rng.uniform(-0.18, -0.06))
        rows = np.linspace(-half[1] + 0.14, half[1] - 0.34, int(rng.integers(4, 6)))
        spots = [(float(-side * c), float(y)) for c in (0.12, 0.34, 0.56) for y in rows]
        kept = [spot for spot in spots if rng.random() < 0.8 and abs(spot[0]) < half[0] - 0.22]
        return cls(
            mask=list(SOLDER_MASKS)[turn % len(SOLDER_MASKS)],
            finish="moulded",
            half=half,
            pins=pins,
            pads=int(rng.integers(7, 12)),
            chip=chip,
            passives=tuple((x, y, bool(rng.random() < 0.6)) for x, y in kept),
            bends=tuple(float(b) for b in rng.uniform(0.05, 0.2, 16)),
        )

    @property
    def features(self) -> int:
        return len(self.passives) + self.pads

    @property
    def colour(self) -> Colour:
        return SOLDER_MASKS[self.mask]

    def describe(self) -> str:
        return (
            f"{self.mask} circuit board, one chip of {2 * self.pins} pins, "
            f"{len(self.passives)} passives and {self.pads} pads"
        )

    def draw(self, s: Surface, without: int | None) -> None:
        s.body(box(s, 0, 0, self.half, 0.05), 0.03, 0.012)
        s.paint(np.ones_like(s.part), self.colour, gloss=0.35, grain=0.6)
        self._traces(s)
        self._corner_holes(s)
        for _, (x, y) in self._vias():
            s.paint(s.cover(disc(s, x, y, 0.018)), GOLD, gloss=0.8, grain=0.7)
            s.paint(s.cover(disc(s, x, y, 0.008)), EPOXY)
        for i, (x, y) in enumerate(self._header()):
            self._pad(s, x, y, placed=i + len(self.passives) != without)
        self._chip(s)
        for i, (x, y, wide) in enumerate(self.passives):
            self._passive(s, x, y, wide=wide, placed=i != without)

    def _header(self) -> list[tuple[float, float]]:
        x0 = -PITCH * 1.25 * (self.pads - 1) / 2
        return [(x0 + PITCH * 1.25 * i, self.half[1] - 0.12) for i in range(self.pads)]

    def _traces(self, s: Surface) -> None:
        """Draw copper under the solder mask: slightly lighter and higher."""
        side = s.x.shape[0]
        picture = Image.new("L", (side, side))
        pen = ImageDraw.Draw(picture)
        for points in self._routes():
            pen.line([((x + 1) / s.step, (y + 1) / s.step) for x, y in points], 255, side // 85)
        line = ndimage.gaussian_filter(np.asarray(picture, np.float32) / 255, side / 640)
        s.height += np.float32(0.004) * line
        lighter = (0.16 + 0.75 * self.colour[0], 0.14 + self.colour[1], 0.10 + self.colour[2])
        s.paint(line * np.float32(0.55), lighter, grain=0.6)

    def _routes(self) -> list[list[tuple[float, float]]]:
        """Routes from each pad up, diagonally across, and up to a pin or passive; few cross."""
        ends = sorted(self._pins() + [(x, y) for x, y, _ in self.passives])
        picks = np.linspace(0, len(ends) - 1, self.pads).round().astype(int)
        routes = []
        for i, (x, y) in enumerate(self._header()):
            ex, ey = ends[picks[i]]
            rank = self.pads - i if ex > x else i + 1  # the furthest route bends first
            bend = max(y - 0.05 - 0.028 * rank, ey + 0.02)
            slant = min(abs(ex - x), bend - ey)
            turn = (x + float(np.sign(ex - x)) * slant, bend - slant)
            routes.append([(x, y), (x, bend), turn, (ex, turn[1]), (ex, ey)])
        return routes + [[(x, y), (vx, y), (vx, vy)] for (x, y, _), (vx, vy) in self._vias()]

    def _vias(self) -> list[tuple[tuple[float, float, bool], tuple[float, float]]]:
        """Pair every other passive with a via beside it."""
        chosen = zip(self.passives[::2], self.bends, strict=False)
        return [((x, y, w), (x + 0.11, y - bend / 2)) for (x, y, w), bend in chosen]

    def _corner_holes(self, s: Surface) -> None:
        for sx in (-1, 1):
            for sy in (-1, 1):
                x, y = sx * (self.half[0] - 0.09), sy * (self.half[1] - 0.09)
                s.paint(s.cover(disc(s, x, y, 0.062)), GOLD, gloss=0.8, grain=0.7)
                s.drill(disc(s, x, y, 0.042), 0.006)

    def _pad(self, s: Surface, x: float, y: float, *, placed: bool) -> None:
        """Draw a plated through hole; if not `placed`, the bare mask remains."""
        if placed:
            s.paint(s.cover(disc(s, x, y, 0.040)), GOLD, gloss=0.8, grain=0.7)
            s.drill(disc(s, x, y, 0.017), 0.008)

    def _pins(self) -> list[tuple[float, float]]:
        cx, cy = self.chip
        rows = PITCH * (np.arange(self.pins) - (self.pins - 1) / 2)
        return [(cx + side * 0.185, cy + float(row)) for row in rows for side in (-1, 1)]

    def _chip(self, s: Surface) -> None:
        cx, cy = self.chip
        half = (0.14, PITCH * self.pins / 2 + 0.01)
        for x, y in self._pins():
            leg = box(s, x, y, (0.05, 0.019), 0.006)
            s.paint(s.cover(leg), TIN, gloss=0.8, grain=0.6)
            s.swell(leg, 0.012, 0.012)
        body = box(s, cx, cy, half, 0.012)
        s.paint(s.cover(body), EPOXY, gloss=0.30, grain=0.8)
        s.swell(body, 0.045, 0.02)
        dot = disc(s, cx - 0.09, cy - half[1] + 0.05, 0.022)
        s.swell(dot, -0.01, 0.012)
        for row in (-0.03, 0.02, 0.07):
            s.paint(s.cover(box(s, cx + row / 4, cy + row, (0.075, 0.009), 0.003)) * 0.55, INK)

    def _passive(self, s: Surface, x: float, y: float, *, wide: bool, placed: bool) -> None:
        """Draw a resistor (dark) or capacitor (tan) with tinned ends; bare pads if not `placed`."""
        length, half = (0.062, 0.032) if wide else (0.052, 0.030)
        for side in (-1, 1):
            end = box(s, x + side * length, y, (0.028, half + 0.006), 0.006)
            s.paint(s.cover(end), TIN if placed else GOLD, gloss=0.8, grain=0.6)
            s.swell(end, 0.012 if placed else 0.003, 0.012)
        if placed:
            body = box(s, x, y, (length - 0.008, half), 0.005)
            s.paint(s.cover(body), EPOXY if wide else (0.52, 0.40, 0.27), gloss=0.3, grain=0.6)
            s.swell(body, 0.022, 0.014)
