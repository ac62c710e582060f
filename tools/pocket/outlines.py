"""Objects as masks: generic parts (bars, gears, threads, combs, blobs …) by their outlines.

An outline is a list of (polygon, solid) pairs drawn in turn; polygons are (n, 2) in -1..1, and one
that is not solid is a hole.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from flawmap.synthesis.fields import Field, Rng

Polygon = npt.NDArray[np.float64]
Outline = list[tuple[Polygon, bool]]


def draw_object(
    rng: Rng, centre: tuple[float, float], radius: float, turn: float, side: int
) -> Field:
    """Return the mask of a random object, float32 (side, side) in 0..1, smooth-edged."""
    sheet = Image.new("L", (2 * side, 2 * side))
    pen = ImageDraw.Draw(sheet)
    c, s = math.cos(turn), math.sin(turn)
    matrix = 2 * radius * np.array([[c, s], [-s, c]])
    for polygon, solid in OUTLINES[int(rng.integers(len(OUTLINES)))](rng):
        points = polygon @ matrix + 2 * np.array(centre)
        pen.polygon([(x, y) for x, y in points.tolist()], fill=255 * solid)
    return np.asarray(sheet.reduce(2), np.float32) / 255


def _ring(radii: npt.NDArray[np.float64] | float, points: int = 96, flat: float = 1.0) -> Polygon:
    """Return a closed curve: radius as a function of the angle."""
    angles = np.arange(points) * (2 * math.pi / points)
    return np.stack([radii * np.cos(angles), flat * radii * np.sin(angles)], 1)


def _box(x0: float, y0: float, x1: float, y1: float) -> Polygon:
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])


def _ellipse(rng: Rng) -> Outline:
    outline: Outline = [(_ring(1.0, flat=rng.uniform(0.2, 1)), True)]
    return [*outline, *_holes(rng)]


def _holes(rng: Rng) -> Outline:
    if rng.random() < 0.6:
        return []
    spots = rng.uniform(-0.45, 0.45, (int(rng.integers(1, 6)), 2))
    return [(_ring(rng.uniform(0.04, 0.25)) + spot, False) for spot in spots]


def _washer(rng: Rng) -> Outline:
    return [(_ring(1.0), True), (_ring(rng.uniform(0.2, 0.92)), False)]


def _polygon(rng: Rng) -> Outline:
    corners = int(rng.integers(3, 9))
    radii = 1 - rng.choice([0.0, 0.5]) * rng.random(corners)
    return [(_ring(radii, corners), True), *_holes(rng)]


def _plate(rng: Rng) -> Outline:
    """A rounded rectangle (a superellipse), thin or square."""
    power, flat = rng.uniform(2.5, 12), rng.uniform(0.08, 1)
    angles = np.arange(96) * (2 * math.pi / 96)
    reach = np.abs(np.cos(angles)) ** power + np.abs(np.sin(angles)) ** power
    return [(_ring(reach ** (-1 / power), flat=flat), True), *_holes(rng)]


def _blob(rng: Rng) -> Outline:
    angles = np.arange(96) * (2 * math.pi / 96)
    radii = np.full(96, 0.75)
    for order in range(2, 2 + int(rng.integers(1, 6))):
        radii += rng.normal(0, 0.3 / order) * np.cos(order * angles + rng.uniform(0, 6.3))
    return [(_ring(np.clip(radii, 0.1, 1.2)), True)]


def _gear(rng: Rng) -> Outline:
    teeth, depth = int(rng.integers(5, 40)), rng.uniform(0.05, 0.35)
    angles = np.arange(480) * (2 * math.pi / 480)
    wave = np.clip(np.cos(teeth * angles) * rng.uniform(1, 6), -1, 1)
    return [
        (_ring(1 - depth / 2 + depth / 2 * wave, 480), True),
        (_ring(rng.uniform(0.05, 0.6)), False),
    ]


def _threaded(rng: Rng) -> Outline:
    """A bar whose long edges repeat, slanted, with or without a head and a point."""
    x = np.linspace(-1, 1, 300)
    turns, width = rng.uniform(6, 40), rng.uniform(0.06, 0.25)
    profile = width * (1 + rng.uniform(0, 0.4) * np.cos(x * turns * math.pi))
    other = width * (1 + rng.uniform(0, 0.4) * np.cos(x * turns * math.pi + math.pi))
    taper = np.clip((1 - x) / rng.uniform(0.02, 0.5), 0, 1)
    bar = np.concatenate(
        [np.stack([x, profile * taper], 1), np.stack([x, -other * taper], 1)[::-1]]
    )
    head = width * rng.uniform(1, 2.6)
    return [(bar, True), (_box(-1, -head, -1 + rng.uniform(0, 0.3), head), True)]


def _comb(rng: Rng) -> Outline:
    """Bristles: thin, nearly parallel bars out of a back."""
    count, spread = int(rng.integers(6, 40)), rng.choice([0.0, 0.03, 0.1])
    at, width = np.linspace(-1, 1, count), rng.uniform(0.2, 0.8) / count
    outline: Outline = [(_box(-1, 0.5, 1, 0.5 + rng.uniform(0.05, 0.5)), True)]
    for x in at:
        lean, tip = rng.normal(0, spread), -0.5 + rng.normal(0, spread)
        foot = np.array([[x - width, 0.5], [x + width, 0.5]])
        outline.append(
            (np.concatenate([foot, [[x + lean + width, tip], [x + lean - width, tip]]]), True)
        )
    return outline


def _tufts(rng: Rng) -> Outline:
    """A field of small like shapes: bristle ends, pins, perforations."""
    n, jitter = int(rng.integers(3, 10)), rng.choice([0.0, 0.1, 0.35])
    at, corners = np.linspace(-0.9, 0.9, n), int(rng.choice([3, 4, 6, 24]))
    dot = _ring(rng.uniform(0.3, 0.95) / n, corners)
    spots = [(x, y) + jitter / n * rng.normal(size=2) for x in at for y in at if x * x + y * y < 1]
    back: Outline = [(_ring(1.1), True)] if (inside := rng.random() < 0.4) else []
    return [*back, *((dot + spot, not inside) for spot in spots)]


def _wire(rng: Rng) -> Outline:
    """Thin curved lines: cable, hair, thread."""
    outline: Outline = []
    for _ in range(int(rng.integers(1, 5))):
        heading = np.cumsum(rng.normal(0, rng.uniform(0.02, 0.35), 40)) + rng.uniform(0, 6.3)
        path = np.cumsum(np.stack([np.cos(heading), np.sin(heading)], 1), 0) * 0.06
        path -= path.mean(0)
        side = np.stack([-np.sin(heading), np.cos(heading)], 1) * rng.uniform(0.008, 0.09)
        outline.append((np.concatenate([path + side, (path - side)[::-1]]), True))
    return outline


def _sign(rng: Rng) -> Outline:
    """Letter-like: a few straight strokes of one width between points of a 3 x 3 grid."""
    outline: Outline = []
    width = rng.uniform(0.05, 0.22)
    ends = (rng.integers(3, size=(int(rng.integers(2, 6)), 2, 2)) - 1) * np.array([0.6, 0.9])
    for a, b in ends:
        along = (b - a) / max(float(np.hypot(*(b - a))), 1e-6) * width
        side = np.array([-along[1], along[0]])
        outline.append(
            (
                np.stack([a - along + side, b + along + side, b + along - side, a - along - side]),
                True,
            )
        )
    return outline


def _assembly(rng: Rng) -> Outline:
    """Two or three of the others, one on the other."""
    outline: Outline = []
    for _ in range(int(rng.integers(2, 4))):
        part = OUTLINES[int(rng.integers(len(OUTLINES) - 1))](rng)
        scale, spot = rng.uniform(0.25, 1), rng.uniform(-0.5, 0.5, 2)
        outline += [(polygon * scale + spot, solid) for polygon, solid in part]
    return outline


OUTLINES: tuple[Callable[[Rng], Outline], ...] = (
    _ellipse,
    _washer,
    _polygon,
    _plate,
    _blob,
    _gear,
    _threaded,
    _comb,
    _tufts,
    _wire,
    _sign,
    _assembly,
)
