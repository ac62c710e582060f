"""The part as layers over its own plane: height, colour, gloss, grain and silhouette.

Lengths are fractions of half the image's side: x and y run from -1 to 1, one pixel of a
256-pixel image is 1/128. Layers are drawn at twice the image's resolution.
Shapes are signed distances (negative inside), so one formula gives edge, bevel and chamfer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Colour = tuple[float, float, float]

OVERSAMPLING = 2


@dataclass
class Surface:
    """Layers of one part, all (S, S) float32 with S = `OVERSAMPLING` * the image's side.

    `albedo` is (S, S, 3) in 0..1; `part` is coverage in 0..1 (0 where the background shows);
    `gloss` and `grain` are 0..1 strengths of highlight and of surface texture.
    """

    x: Array
    y: Array
    height: Array
    albedo: Array
    part: Array
    gloss: Array
    grain: Array

    @classmethod
    def blank(cls, size: int) -> Surface:
        """Create an empty plane for an image of `size` x `size` pixels."""
        side = size * OVERSAMPLING
        axis = ((np.arange(side, dtype=np.float32) + 0.5) * 2 / side - 1).astype(np.float32)
        y, x = np.meshgrid(axis, axis, indexing="ij")
        zero = np.zeros((side, side), np.float32)
        albedo = np.zeros((side, side, 3), np.float32)
        return cls(x, y, zero, albedo, zero.copy(), zero.copy(), zero.copy())

    @property
    def step(self) -> float:
        """Distance between neighbouring samples."""
        return 2.0 / len(self.x)

    @cached_property
    def r(self) -> Array:
        """(S, S) distance from the centre."""
        return np.hypot(self.x, self.y)

    @cached_property
    def theta(self) -> Array:
        """(S, S) angle in -pi..pi."""
        return np.arctan2(self.y, self.x)

    def copy(self) -> Surface:
        """Copy with independent layers; the coordinates are shared."""
        layers = ("height", "albedo", "part", "gloss", "grain")
        return replace(self, **{name: getattr(self, name).copy() for name in layers})

    def cover(self, distance: Array) -> Array:
        """Antialiased coverage of a shape, (S, S) in 0..1."""
        return as_layer(np.clip(0.5 - distance / np.float32(self.step), 0, 1))

    def body(self, distance: Array, height: float, bevel: float) -> None:
        """Add the part's body: its silhouette, with a bevelled edge."""
        self.part = np.maximum(self.part, self.cover(distance))
        self.swell(distance, height, bevel)

    def swell(self, distance: Array, height: float, bevel: float) -> None:
        """Raise (or, with a negative height, sink) a shape; the slope lies inside its edge."""
        self.height += np.float32(height) * smooth(-distance / np.float32(bevel))

    def drill(self, distance: Array, chamfer: float) -> None:
        """Cut a through hole; its chamfer lies outside the edge."""
        self.part *= 1 - self.cover(distance)
        self.height -= np.float32(0.8 * chamfer) * smooth(1 - distance / np.float32(chamfer))

    def paint(
        self, weight: Array, colour: Colour, *, gloss: float | None = None, grain: float = 1.0
    ) -> None:
        """Blend in a colour, grain and optionally gloss by `weight` (S, S) in 0..1."""
        near = _bounding_box(weight)  # most shapes are small
        w, albedo = weight[near], self.albedo[near]
        albedo += w[..., None] * (np.asarray(colour, np.float32) - albedo)
        self.grain[near] += w * (np.float32(grain) - self.grain[near])
        if gloss is not None:
            self.gloss[near] += w * (np.float32(gloss) - self.gloss[near])


def _bounding_box(weight: Array) -> tuple[slice, slice]:
    """Slices of the rows and columns that contain all nonzero weights."""
    rows, columns = (np.flatnonzero(weight.any(axis=axis)) for axis in (1, 0))
    if len(rows) == 0:
        return slice(0), slice(0)
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def as_layer(a: Any) -> Array:
    """Convert to float32, the type that NumPy's operators may lose."""
    return np.asarray(a, np.float32)


def smooth(t: Array) -> Array:
    """Smoothstep: 0 below 0, 1 above 1, with zero slope at both ends."""
    t = as_layer(np.clip(t, 0, 1))
    return as_layer(t * t * (3 - 2 * t))


def disc(s: Surface, x: float, y: float, radius: float) -> Array:
    """Signed distance to a disc."""
    return as_layer(np.hypot(s.x - np.float32(x), s.y - np.float32(y)) - np.float32(radius))


def ring(s: Surface, inner: float, outer: float) -> Array:
    """Signed distance to a ring around the centre."""
    middle, half = np.float32((inner + outer) / 2), np.float32((outer - inner) / 2)
    return as_layer(np.abs(s.r - middle) - half)


def box(
    s: Surface, x: float, y: float, half: tuple[float, float], radius: float, angle: float = 0.0
) -> Array:
    """Signed distance to a box with rounded corners, rotated by `angle` radians."""
    c, n = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    dx, dy = s.x - np.float32(x), s.y - np.float32(y)
    qx = np.abs(c * dx + n * dy) - np.float32(half[0] - radius)
    qy = np.abs(c * dy - n * dx) - np.float32(half[1] - radius)
    outside = np.hypot(np.maximum(qx, 0), np.maximum(qy, 0))
    return as_layer(outside + np.minimum(np.maximum(qx, qy), 0) - np.float32(radius))


def around(count: int, radius: float, phase: float) -> list[tuple[float, float]]:
    """`count` points evenly spaced around the centre."""
    angles = phase + 2 * np.pi * np.arange(count) / count
    return [(float(radius * np.cos(a)), float(radius * np.sin(a))) for a in angles]
