"""Product families (the fourth is in `board`); a seed fixes shape, counts and colours.

Every family draws itself onto a `Surface`, whole or without one of its numbered features
(a bolt hole not drilled, a tooth broken off, a component not placed).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

import numpy as np

from flawmap.demonstration.surface import Array, Colour, Surface, around, as_layer, box, disc, ring

Finish = Literal["turned", "brushed", "moulded"]

METALS: dict[str, Colour] = {
    "copper": (0.62, 0.39, 0.28),
    "steel": (0.50, 0.52, 0.55),
    "brass": (0.62, 0.49, 0.24),
    "aluminium": (0.60, 0.61, 0.62),
    "blue anodised": (0.25, 0.38, 0.58),
    "red anodised": (0.60, 0.22, 0.22),
}
PLASTICS: dict[str, Colour] = {
    "ivory": (0.76, 0.73, 0.63),
    "orange": (0.78, 0.42, 0.14),
    "blue": (0.18, 0.36, 0.62),
    "green": (0.24, 0.50, 0.33),
    "slate": (0.36, 0.39, 0.43),
    "red": (0.66, 0.20, 0.18),
    "yellow": (0.78, 0.64, 0.16),
}
SOLDER_MASKS: dict[str, Colour] = {
    "green": (0.10, 0.36, 0.22),
    "blue": (0.10, 0.24, 0.46),
    "red": (0.48, 0.12, 0.13),
    "violet": (0.30, 0.16, 0.42),
}
GOLD: Colour = (0.74, 0.60, 0.30)
TIN: Colour = (0.66, 0.67, 0.69)
EPOXY: Colour = (0.15, 0.15, 0.16)
INK: Colour = (0.82, 0.83, 0.80)


class Family(Protocol):
    """Interface of a product family to the camera and the defects."""

    brittle: ClassVar[bool]

    @property
    def finish(self) -> Finish:
        """Surface finish."""

    @property
    def features(self) -> int:
        """Number of features that can be missing."""

    @property
    def colour(self) -> Colour:
        """The part's main colour."""

    def describe(self) -> str:
        """Describe the product in a few words."""

    def draw(self, s: Surface, without: int | None) -> None:
        """Draw the part, leaving out feature number `without`."""


@dataclass(frozen=True)
class Flange:
    """A machined disc with a bore, a raised hub, grooves and a circle of bolt holes."""

    metal: str
    finish: Finish
    radius: float
    bore: float
    hub: float
    holes: int
    hole: float
    phase: float
    grooves: int
    brittle: ClassVar[bool] = False

    @classmethod
    def sample(cls, rng: np.random.Generator, turn: int) -> Flange:
        """Draw shape and counts from `rng`; `turn` cycles through the metals."""
        radius, bore = rng.uniform(0.70, 0.78), rng.uniform(0.15, 0.23)
        return cls(
            metal=list(METALS)[turn % len(METALS)],
            finish="turned" if rng.random() < 0.6 else "brushed",
            radius=radius,
            bore=bore,
            hub=bore + rng.uniform(0.07, 0.14),
            holes=int(rng.integers(4, 9)),
            hole=rng.uniform(0.055, 0.078),
            phase=rng.uniform(0, 2 * np.pi),
            grooves=int(rng.integers(0, 3)),
        )

    @property
    def features(self) -> int:
        return self.holes

    @property
    def colour(self) -> Colour:
        return METALS[self.metal]

    def describe(self) -> str:
        return f"{self.metal} flange, {self.finish}, with {self.holes} bolt holes"

    def draw(self, s: Surface, without: int | None) -> None:
        s.body(s.r - np.float32(self.radius), 0.05, 0.035)
        s.paint(np.ones_like(s.part), self.colour, gloss=0.9)
        s.swell(s.r - np.float32(self.hub), 0.035, 0.022)
        for groove in range(self.grooves):
            at = self.radius - 0.060 - 0.034 * groove
            s.swell(ring(s, at - 0.013, at + 0.013), -0.010, 0.013)
        s.drill(s.r - np.float32(self.bore), 0.028)
        middle = (self.hub + self.radius) / 2 - 0.02 * self.grooves
        for i, (x, y) in enumerate(around(self.holes, middle, self.phase)):
            if i != without:
                s.drill(disc(s, x, y, self.hole), 0.022)


@dataclass(frozen=True)
class Gear:
    """A moulded gear with teeth, a sunken web, spokes between pockets and a keyed bore."""

    plastic: str
    finish: Finish
    teeth: int
    root: float
    tip: float
    bore: float
    pockets: int
    phase: float
    brittle: ClassVar[bool] = True

    @classmethod
    def sample(cls, rng: np.random.Generator, turn: int) -> Gear:
        """Draw shape and counts from `rng`; `turn` cycles through the plastics."""
        root = rng.uniform(0.62, 0.68)
        return cls(
            plastic=list(PLASTICS)[(turn + 1) % len(PLASTICS)],
            finish="moulded",
            teeth=int(rng.integers(14, 27)),
            root=root,
            tip=root + rng.uniform(0.10, 0.13),
            bore=rng.uniform(0.10, 0.15),
            pockets=int(rng.integers(3, 7)),
            phase=rng.uniform(0, 2 * np.pi),
        )

    @property
    def features(self) -> int:
        return self.teeth + self.pockets

    @property
    def colour(self) -> Colour:
        return PLASTICS[self.plastic]

    def describe(self) -> str:
        return f"{self.plastic} moulded gear, {self.teeth} teeth and {self.pockets} pockets"

    def draw(self, s: Surface, without: int | None) -> None:
        s.body(self._outline(s, without), 0.05, 0.026)
        s.paint(np.ones_like(s.part), self.colour, gloss=0.45)
        s.swell(ring(s, self.bore + 0.09, self.root - 0.10), -0.028, 0.022)
        for i, pocket in enumerate(around(self.pockets, (self.bore + self.root) / 2, self.phase)):
            if i + self.teeth != without:
                s.drill(disc(s, *pocket, 0.082), 0.016)
        s.drill(s.r - np.float32(self.bore), 0.02)
        s.drill(box(s, self.bore, 0, (0.035, 0.03), 0.004), 0.008)

    def _outline(self, s: Surface, without: int | None) -> Array:
        """Signed distance to a disc with straight-flanked teeth."""
        pitch = np.float32(2 * np.pi / self.teeth)
        turn = (s.theta - np.float32(self.phase)) / pitch
        off = (turn - np.round(turn)) * pitch  # angle from the nearest tooth's centre
        along, across = s.r * np.cos(off), s.r * np.abs(np.sin(off))
        half = np.float32(0.30 * self.root * pitch)  # half width of a tooth at its root
        taper = 0.42 * half / np.float32(self.tip - self.root)
        flank = (across - half + taper * (along - np.float32(self.root))) / np.hypot(1, taper)
        tooth = np.maximum(flank, along - np.float32(self.tip))
        if without is not None and without < self.teeth:
            tooth = np.where(np.mod(np.round(turn), self.teeth) == without, 1, tooth)
        return as_layer(np.minimum(s.r - np.float32(self.root), tooth))


@dataclass(frozen=True)
class Cap:
    """A moulded cap with a domed top, a rim, ribs around it, and two or four holes."""

    plastic: str
    finish: Finish
    square: float
    radius: float
    ribs: int
    holes: int
    phase: float
    brittle: ClassVar[bool] = True

    @classmethod
    def sample(cls, rng: np.random.Generator, turn: int) -> Cap:
        """Draw shape and counts from `rng`; `turn` cycles through the plastics."""
        return cls(
            square=float(rng.choice([2.0, 2.0, 3.2, 4.5])),
            radius=rng.uniform(0.66, 0.74),
            plastic=list(PLASTICS)[(turn + 4) % len(PLASTICS)],
            finish="moulded",
            ribs=int(rng.integers(10, 23)),
            holes=int(rng.choice([2, 4, 4])),
            phase=rng.uniform(0, np.pi),
        )

    @property
    def features(self) -> int:
        return self.ribs + self.holes

    @property
    def colour(self) -> Colour:
        return PLASTICS[self.plastic]

    def describe(self) -> str:
        shape = "round" if self.square == 2 else "squarish"
        return f"{self.plastic} {shape} cap, {self.ribs} ribs and {self.holes} holes"

    def draw(self, s: Surface, without: int | None) -> None:
        p = np.float32(self.square)
        # superellipse: round to squarish
        r = np.asarray((np.abs(s.x) ** p + np.abs(s.y) ** p) ** (1 / p), dtype=np.float32)
        s.body(r - np.float32(self.radius), 0.06, 0.05)
        s.paint(np.ones_like(s.part), self.colour, gloss=0.6)
        s.swell(r - np.float32(self.radius - 0.25), -0.030, 0.04)
        s.height += 0.05 * np.clip(1 - (r / np.float32(self.radius - 0.29)) ** 2, 0, 1)
        self._ribs(s, r, without)
        for i, (x, y) in enumerate(around(self.holes, 0.15, self.phase)):
            if i + self.ribs != without:
                s.drill(disc(s, x, y, 0.062), 0.03)

    def _ribs(self, s: Surface, r: Array, without: int | None) -> None:
        for i, (c, n) in enumerate(around(self.ribs, 1.0, self.phase)):
            if i != without:
                along = (abs(c) ** self.square + abs(n) ** self.square) ** (-1 / self.square)
                at = along * (self.radius - 0.135)
                angle = float(np.arctan2(n, c))
                s.swell(box(s, at * c, at * n, (0.075, 0.024), 0.02, angle), 0.026, 0.022)
