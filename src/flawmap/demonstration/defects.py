"""Defects of a part: each changes the surface, and the camera model renders the result."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from flawmap.demonstration.surface import Array, Colour, Surface, as_layer, smooth

PIXEL = 1 / 128  # one pixel of a 256-pixel image
Path2D = NDArray[np.float64]  # (n, 2) points, x then y

FIBRES: tuple[Colour, ...] = ((0.12, 0.12, 0.14), (0.60, 0.12, 0.12), (0.85, 0.85, 0.82))
PARTICLES: tuple[Colour, ...] = ((0.10, 0.09, 0.08), (0.80, 0.80, 0.78), (0.45, 0.28, 0.12))


def scratch(s: Surface, rng: np.random.Generator) -> None:
    """Add a thin bent groove, about 2 pixels wide, with faded ends; pale on dark, dark on pale."""
    path = _path_on_part(s, rng, length=rng.uniform(32, 70) * PIXEL, bend=rng.uniform(0, 0.5))
    fade = np.sin(np.linspace(0.25, np.pi - 0.25, len(path) - 1)) ** 0.5
    line = _stroke(s, [path], width=rng.uniform(1.6, 2.3), strengths=[fade])
    s.height -= np.float32(0.004) * line
    level = 0.9 if _tone(s, path) < 0.40 else 0.12
    s.paint(line * np.float32(rng.uniform(0.75, 1.0)), (level, level, level), gloss=level)


def stain(s: Surface, rng: np.random.Generator) -> None:
    """Add a smooth, faint film that shifts the colour by some 15 % of the full range."""
    x, y = _spot(s, rng, margin=12)
    shape = _blob(s, rng, x, y, radius=rng.uniform(8, 13) * PIXEL, wobble=0.22)
    film = smooth(0.5 - shape / np.float32(6 * PIXEL))
    here = _tone(s, np.array([[x, y]]))
    shift = rng.uniform(0.15, 0.2) * (0.6 + here) * (1 if here < 0.40 else -1)
    tint = np.float32(rng.uniform([0.8, 0.8, 0.7], [1.0, 1.0, 1.2]))
    s.albedo += film[..., None] * tint * np.float32(shift)


def dent(s: Surface, rng: np.random.Generator) -> None:
    """Add a shallow oval hollow, visible by light and shadow."""
    x, y = _spot(s, rng, margin=7)
    angle, a, b = rng.uniform(0, np.pi), *(rng.uniform(6, 13, 2) * PIXEL)
    u = (s.x - x) * np.cos(angle) + (s.y - y) * np.sin(angle)
    v = (s.y - y) * np.cos(angle) - (s.x - x) * np.sin(angle)
    inside = np.clip(1 - (u / a) ** 2 - (v / b) ** 2, 0, 1).astype(np.float32)
    s.height -= np.float32(rng.uniform(0.4, 0.6) * min(a, b)) * inside**1.5
    s.albedo *= 1 - 0.25 * inside[..., None]
    s.gloss *= 1 - 0.3 * inside


def crack(s: Surface, rng: np.random.Generator) -> None:
    """Add a dark, jagged line with one or two branches."""
    trunk = _path_on_part(s, rng, length=rng.uniform(24, 52) * PIXEL, bend=0.15, jag=1.3)
    paths = [trunk]
    for _ in range(rng.integers(1, 3)):
        paths.append(_branch(rng, trunk, rng.uniform(7, 16) * PIXEL))
    taper = [np.linspace(1, 0.45, len(path) - 1) for path in paths]
    line = _stroke(s, paths, width=rng.uniform(1.0, 1.7), strengths=taper) * s.part
    s.height -= np.float32(0.006) * line
    dark = np.float32(rng.uniform(0.55, 0.85))
    s.albedo *= 1 - dark * line[..., None]
    s.gloss *= 1 - dark * line


def contamination(s: Surface, rng: np.random.Generator) -> None:
    """Add a fibre or a particle that lies on the part."""
    if rng.random() < 0.5:
        path = _path_on_part(s, rng, length=rng.uniform(22, 46) * PIXEL, bend=rng.uniform(0.4, 1.3))
        line = _stroke(s, [path], width=rng.uniform(1.6, 2.4), strengths=[np.ones(len(path) - 1)])
        _lay(s, line, _unlike(s, path, FIBRES, rng), 0.010)
        return
    x, y = _spot(s, rng, margin=6)
    shape = _blob(s, rng, x, y, radius=rng.uniform(3.5, 7) * PIXEL, wobble=0.30)
    colour = _unlike(s, np.array([[x, y]]), PARTICLES, rng)
    _lay(s, s.cover(shape), colour, 0.03, smooth(-shape / np.float32(3 * PIXEL)))


def chip(s: Surface, rng: np.random.Generator) -> None:
    """Break a piece out of the outer edge, with a paler fracture flank."""
    solid = ndimage.binary_fill_holes(s.part > 0.5)
    edge = np.argwhere(solid & ~ndimage.binary_erosion(solid, iterations=2))
    row, column = edge[rng.integers(len(edge))]
    x, y = float(s.x[row, column]), float(s.y[row, column])
    bite = _blob(s, rng, x, y, radius=rng.uniform(4.5, 10) * PIXEL, wobble=0.30)
    flank = rng.uniform(1.5, 3) * PIXEL
    s.paint(0.45 * smooth(1 - bite / np.float32(flank)), (0.78, 0.78, 0.76), gloss=0.2)
    s.drill(bite, flank)
    whole = _largest(ndimage.binary_erosion(s.part > 0.5, iterations=2))
    s.part *= ndimage.binary_dilation(whole, iterations=5)  # crumbs and slivers fall off


SURFACE_DEFECTS: dict[str, Callable[[Surface, np.random.Generator], None]] = {
    "scratch": scratch,
    "stain": stain,
    "dent": dent,
    "crack": crack,
    "contamination": contamination,
    "chip": chip,
}


def changed(with_defect: Array, without: Array, closing: int) -> NDArray[np.bool_]:
    """Mask (H, W) of where two unrounded images (H, W, 3) in 0..255 differ visibly.

    The limit is a fifth of the strongest change, at least 2.5 and at most 10 levels: blur
    spreads a strong defect's edge, and that spread is not part of the defect. Gaps up to
    2 * `closing` pixels wide are closed (a dent's slope has a line that hardly changes);
    specks beside the defect's main regions are left out.
    """
    difference = np.abs(with_defect - without).max(axis=-1)
    limit = np.clip(0.2 * difference.max(), 2.5, 10)
    square = np.ones((3, 3), bool)
    wide = np.pad(difference > limit, closing)
    mask = ndimage.binary_closing(wide, iterations=closing)
    mask = mask[closing:-closing, closing:-closing]
    regions, count = ndimage.label(mask, square)
    areas = np.bincount(regions.ravel(), minlength=count + 1)
    areas[0] = 0
    return np.asarray((areas >= 0.2 * areas.max())[regions] & mask)


def _largest(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Keep only the largest region."""
    regions, _ = ndimage.label(mask)
    return np.asarray(regions == np.bincount(regions[mask]).argmax())


def _spot(s: Surface, rng: np.random.Generator, *, margin: float) -> tuple[float, float]:
    """Random point on the part, at least `margin` pixels from every edge and hole if possible."""
    depth = ndimage.distance_transform_edt(s.part[::2, ::2] > 0.99) * (2 * s.step)
    limit = min(margin * PIXEL, 0.7 * float(depth.max()))
    inside = np.argwhere(depth >= limit)
    row, column = 2 * inside[rng.integers(len(inside))]
    return float(s.x[row, column]), float(s.y[row, column])


def _path_on_part(
    s: Surface, rng: np.random.Generator, *, length: float, bend: float, jag: float = 0.0
) -> Path2D:
    """Random curve (n, 2) on the part, shortened until it fits."""
    start = _spot(s, rng, margin=3)
    for attempt in range(200):
        if attempt % 8 == 7:
            start = _spot(s, rng, margin=3)
        path = _curve(rng, start, length * 0.985**attempt, bend, jag)
        columns, rows = np.clip(((path + 1) / s.step).astype(int).T, 0, s.x.shape[0] - 1)
        if s.part[rows, columns].min() > 0.99:
            break
    return path


def _curve(
    rng: np.random.Generator, start: tuple[float, float], length: float, bend: float, jag: float
) -> Path2D:
    """Walk in steps of 1.5 pixels whose heading bends by `bend` and jitters by `jag` radians."""
    steps = max(int(length / (1.5 * PIXEL)), 5)
    swing = np.linspace(0, rng.choice([-1, 1]) * 2 * bend, steps)
    sway = 0.6 * bend * np.sin(np.linspace(0, rng.uniform(2, 7), steps))
    shake = jag * np.repeat(rng.uniform(-0.5, 0.5, steps // 3 + 1), 3)[:steps]
    heading = rng.uniform(0, 2 * np.pi) + swing + sway + shake
    walk = np.cumsum(np.stack([np.cos(heading), np.sin(heading)], axis=1), axis=0)
    return np.asarray(start + length / steps * walk)


def _branch(rng: np.random.Generator, trunk: Path2D, length: float) -> Path2D:
    """Short curve that leaves the trunk at an oblique angle."""
    at = int(rng.integers(len(trunk) // 4, 3 * len(trunk) // 4))
    ahead = trunk[at + 1] - trunk[at]
    heading = np.arctan2(ahead[1], ahead[0]) + rng.choice([-1, 1]) * rng.uniform(0.6, 1.1)
    steps = max(int(length / (1.5 * PIXEL)), 4)
    turns = heading + 0.9 * rng.uniform(-0.5, 0.5, steps)
    walk = np.cumsum(np.stack([np.cos(turns), np.sin(turns)], axis=1), axis=0)
    return np.asarray(np.vstack([trunk[at], trunk[at] + length / steps * walk]))


def _stroke(
    s: Surface, paths: list[Path2D], *, width: float, strengths: list[NDArray[np.float64]]
) -> Array:
    """Draw lines `width` image pixels wide, (S, S) in 0..1."""
    side = s.x.shape[0]
    picture = Image.new("L", (side, side))
    pen = ImageDraw.Draw(picture)
    samples = max(round(width * PIXEL / s.step), 1)
    for path, strength in zip(paths, strengths, strict=True):
        points = [(float(x), float(y)) for x, y in (path + 1) / s.step]
        for a, b, level in zip(points[:-1], points[1:], strength, strict=True):
            pen.line([a, b], round(255 * float(level)), samples)
    return as_layer(ndimage.gaussian_filter(np.asarray(picture, np.float32) / 255, 0.6))


def _blob(
    s: Surface, rng: np.random.Generator, x: float, y: float, *, radius: float, wobble: float
) -> Array:
    """Signed distance (to first order) to a round shape with an uneven outline."""
    dx, dy = s.x - np.float32(x), s.y - np.float32(y)
    angle = np.arctan2(dy, dx)
    outline = np.ones_like(angle)
    for k in range(2, 6):
        size, phase = rng.uniform(-wobble, wobble) * 1.6 / k, rng.uniform(0, 2 * np.pi)
        outline += np.float32(size) * np.cos(k * angle + np.float32(phase))
    return as_layer(np.hypot(dx, dy) - np.float32(radius) * outline)


def _lay(
    s: Surface, cover: Array, colour: Colour, thickness: float, bulge: Array | None = None
) -> None:
    """Put an object on the part; it also covers holes."""
    s.paint(cover, colour, gloss=0.35, grain=0.5)
    s.height += np.float32(thickness) * (cover if bulge is None else bulge)


def _tone(s: Surface, path: Path2D) -> float:
    """Mean brightness of the surface along a path, 0..1."""
    columns, rows = np.clip(((path + 1) / s.step).astype(int).T, 0, s.x.shape[0] - 1)
    return float(s.albedo[rows, columns].mean())


def _unlike(
    s: Surface, path: Path2D, colours: tuple[Colour, ...], rng: np.random.Generator
) -> Colour:
    """One of `colours` that stands out from the surface along the path."""
    columns, rows = np.clip(((path + 1) / s.step).astype(int).T, 0, s.x.shape[0] - 1)
    here = s.albedo[rows, columns].mean(axis=0)
    clear = [c for c in colours if np.abs(np.subtract(c, here)).max() > 0.25]
    return clear[rng.integers(len(clear))]
