"""Fields from cells and drawn shapes: float32 (h, w) of any range, one function per family."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from scipy.spatial import cKDTree

from flawmap.synthesis.fields import Family, Field, Rng, log_uniform
from flawmap.types import Size


def _cells(rng: Rng, size: Size) -> Field:
    """Voronoi cells: flat tiles, pebbles, or the cracks between, computed at half size."""
    half = (max(size[0] // 2, 1), max(size[1] // 2, 1))
    points = rng.random((int(log_uniform(rng, 8, 500)), 2)) * half
    grid = np.moveaxis(np.mgrid[: half[0], : half[1]], 0, -1).reshape(-1, 2)
    distance, nearest = cKDTree(points).query(grid, k=2)
    kind = rng.integers(4)
    flat = rng.random(len(points))[nearest[:, 0]]
    gap = np.sqrt(np.minimum((distance[:, 1] - distance[:, 0]) / rng.uniform(1.5, 8), 1))
    field = (flat, flat * gap, distance[:, 0], gap)[kind].reshape(half).astype(np.float32)
    return np.asarray(Image.fromarray(field).resize(size[::-1], Image.Resampling.BILINEAR))


class _Sheet:
    """A grey drawing surface at twice the size, which makes edges smooth."""

    def __init__(self, size: Size, shade: int = 0) -> None:
        self.h, self.w = 2 * size[0], 2 * size[1]
        self.image = Image.new("L", (self.w, self.h), shade)
        self.pen = ImageDraw.Draw(self.image)

    def field(self) -> Field:
        return np.asarray(self.image.reduce(2), np.float32)


def _shape(rng: Rng, centre: npt.NDArray[np.float64], radius: float) -> list[tuple[float, float]]:
    """Return the corners of a random polygon: star, rounded blob, sliver or box."""
    corners = int(rng.integers(3, 13))
    angles = (
        np.sort(rng.random(corners)) * 2 * np.pi
        if corners < 7
        else np.arange(corners) * (2 * np.pi / corners)
    )
    radii = radius * (1 - rng.choice([0.0, 0.2, 0.6]) * rng.random(corners))
    flat, turn = rng.choice([1.0, 1.0, 0.5, 0.15]), rng.uniform(0, math.pi)
    x, y = radii * np.cos(angles), flat * radii * np.sin(angles)
    px = centre[0] + x * math.cos(turn) - y * math.sin(turn)
    py = centre[1] + x * math.sin(turn) + y * math.cos(turn)
    return list(zip(px.tolist(), py.tolist(), strict=True))


def _leaves(rng: Rng, size: Size) -> Field:
    """Dead leaves: overlapping shapes, many small and few large."""
    sheet = _Sheet(size, int(rng.integers(256)))
    largest = min(size) * rng.uniform(0.12, 0.5)
    for _ in range(int(rng.integers(60, 260))):
        centre = rng.random(2) * (sheet.w, sheet.h)
        radius = largest * (0.05 + 0.95 * rng.random() ** 3)
        sheet.pen.polygon(_shape(rng, centre, radius), fill=int(rng.integers(256)))
    return sheet.field()


def _dots(rng: Rng, size: Size) -> Field:
    """Discs or rings on a jittered grid: from a perforated sheet to spatter."""
    sheet = _Sheet(size)
    pitch = min(sheet.h, sheet.w) / log_uniform(rng, 4, 22)
    jitter, fill = rng.choice([0.0, 0.15, 0.6]) * pitch, rng.uniform(0.15, 0.48) * pitch
    spread, ring = rng.choice([0.0, 0.3, 0.9]), int(rng.choice([0, 0, 0, 3]))
    spots = np.moveaxis(np.mgrid[0 : sheet.w + pitch : pitch, 0 : sheet.h + pitch : pitch], 0, -1)
    spots[:, ::2, 0] += rng.choice([0.0, 0.5]) * pitch
    for x, y in (
        spots.reshape(-1, 2) + rng.uniform(-jitter, jitter + 1e-9, (spots.size // 2, 2))
    ).tolist():
        r, shade = fill * (1 - spread * rng.random()), int(255 - 160 * spread * rng.random())
        box = (x - r, y - r, x + r, y + r)
        sheet.pen.ellipse(box, fill=None if ring else shade, outline=shade, width=max(ring, 1))
    return sheet.field()


def _fibres(rng: Rng, size: Size) -> Field:
    """Scratches, hairs and fibres: thin curves, scattered or aligned."""
    sheet = _Sheet(size)
    combed, heading = rng.choice([0.1, 0.5, 3.2]), rng.uniform(0, 2 * math.pi)
    length, bend = rng.uniform(0.1, 1.2) * sheet.w, rng.choice([0.0, 0.15, 0.6])
    for _ in range(int(log_uniform(rng, 15, 300))):
        turns = np.cumsum(rng.normal(0, bend, 8)) + heading + combed * rng.uniform(-1, 1)
        steps = np.stack([np.cos(turns), np.sin(turns)], 1) * length / 8 * rng.uniform(0.3, 1)
        path = rng.uniform(-0.2, 1.1, 2) * (sheet.w, sheet.h) + np.cumsum(steps, 0)
        ink, width = int(rng.integers(80, 256)), int(rng.integers(1, 6))
        sheet.pen.line(path.ravel().tolist(), fill=ink, width=width)
    return sheet.field()


def _glyphs(rng: Rng, size: Size) -> Field:
    """Clutter that resembles print: strokes and arcs, in lines."""
    sheet = _Sheet(size)
    pitch = min(sheet.h, sheet.w) / log_uniform(rng, 4, 14)
    pen, gap = max(int(pitch * rng.uniform(0.06, 0.2)), 1), rng.uniform(0, 0.3)
    for y in np.arange(0, sheet.h, pitch * 1.4):
        for x in np.arange(0, sheet.w, pitch * 0.8):
            if rng.random() > gap:
                _glyph(rng, sheet.pen, x, y, pitch, pen)
    rotated = sheet.image.rotate(float(rng.choice([0, 0, 90, rng.uniform(-45, 45)])))
    sheet.image = rotated
    return sheet.field()


def _glyph(
    rng: Rng, pen: ImageDraw.ImageDraw, x: float, y: float, pitch: float, width: int
) -> None:
    points = [(x + pitch * 0.3 * i, y + pitch * 0.5 * j) for j in range(3) for i in range(3)]
    corners = [points[i] for i in rng.integers(9, size=int(rng.integers(2, 5)))]
    pen.line(corners, fill=255, width=width)
    if rng.random() < 0.5:
        start = int(rng.integers(360))
        box = (x, y, x + pitch * 0.6, y + pitch * float(rng.uniform(0.5, 1)))
        pen.arc(box, start, start + 200, fill=255, width=width)


FAMILIES: tuple[Family, ...] = (_cells, _leaves, _dots, _fibres, _glyphs)
