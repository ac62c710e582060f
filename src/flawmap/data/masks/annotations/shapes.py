"""Shapes in pixel coordinates, and rasterisation to masks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flawmap.types import Size

Point = tuple[float, float]  # x, y
Filled = NDArray[np.bool_]

LINE_WIDTH = 5.0  # pixels; labelling tools store lines without a width
_CORNERS = 64  # of the polygon that stands for an ellipse
_FURTHEST = 1e7  # largest coordinate, in pixels
_MANY_MARKED = 2**22  # marked pixels of a mask; more are not listed one by one
_MOST_CROSSINGS = 50_000_000  # limit on crossings of a shape's edges with rows of pixels


@dataclass(frozen=True)
class Polygon:
    """An area given by its corners."""

    corners: tuple[Point, ...]


@dataclass(frozen=True)
class Line:
    """Straight segments from point to point, `LINE_WIDTH` wide."""

    points: tuple[Point, ...]


@dataclass(frozen=True, eq=False)
class Pixels:
    """A pixel mask whose top left pixel is at `corner`, (row, column)."""

    filled: Filled
    corner: tuple[int, int] = (0, 0)


@dataclass(frozen=True, eq=False)
class Runs:
    """Run lengths of a whole image of `size`, column by column, background first."""

    size: Size
    lengths: NDArray[np.int64]


@dataclass(frozen=True)
class NoArea:
    """A shape that covers nothing, such as a point."""

    kind: str


Shape = Polygon | Line | Pixels | Runs | NoArea


def draw(shapes: Iterable[Shape], size: Size) -> Filled:
    """Return which pixels (h, w) the shapes cover; parts outside the image are cut off.

    A pixel is covered if its centre is. `Runs` must be of this size. Raises ValueError if a shape
    is too large to draw.
    """
    mask = np.zeros(size, bool)
    for shape in shapes:
        match shape:
            case Polygon(corners):
                _fill(mask, corners)
            case Line(points):
                for one, other in pairwise(points):
                    _fill(mask, _bar(one, other))
            case Pixels(filled, corner):
                _put(mask, filled, corner)
            case Runs(_, lengths):
                _put_runs(mask, lengths)
    return mask


def no_area(kind: Any) -> NoArea:
    """Return a shape without area; its kind is cut to a few printable letters."""
    return NoArea(ascii(str(kind)[:40])[1:-1])


def number(value: Any) -> float:
    """Check a coordinate or length from a file. Raises ValueError if it is invalid."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("a coordinate that is no number")
    if not abs(value) <= _FURTHEST:  # written so that NaN fails it
        raise ValueError(f"a coordinate of {value:g}")
    return float(value)


def points(values: Any) -> tuple[Point, ...]:
    """Parse pairs of numbers from a file."""
    return tuple((number(x), number(y)) for x, y in values)


def polygon(values: Sequence[Point]) -> Polygon:
    """Return a polygon. Raises ValueError for fewer than three corners."""
    if len(values) < 3:
        raise ValueError("a polygon of less than three corners")
    return Polygon(tuple(values))


def rectangle(one: Point, other: Point) -> Polygon:
    """Return a rectangle from two opposite corners."""
    return Polygon((one, (other[0], one[1]), other, (one[0], other[1])))


def ellipse(centre: Point, radii: Point, turned: float = 0.0) -> Polygon:
    """Return an ellipse rotated by `turned` radians, from the x axis to the y axis."""
    angles = np.arange(_CORNERS) * (2 * np.pi / _CORNERS)
    along, across = abs(radii[0]) * np.cos(angles), abs(radii[1]) * np.sin(angles)
    x = centre[0] + along * np.cos(turned) - across * np.sin(turned)
    y = centre[1] + along * np.sin(turned) + across * np.cos(turned)
    return Polygon(tuple(zip(x.tolist(), y.tolist(), strict=True)))


def _bar(one: Point, other: Point) -> tuple[Point, ...]:
    """Return the corners of a line segment, extended by half its width at both ends."""
    start, end = np.array(one), np.array(other)
    length = float(np.hypot(*(end - start)))
    along = (end - start) / length if length else np.array([1.0, 0.0])
    along *= LINE_WIDTH / 2
    across = np.array([-along[1], along[0]])
    start, end = start - along, end + along
    return tuple(map(tuple, (start + across, end + across, end - across, start - across)))


def _fill(mask: Filled, corners: Sequence[Point]) -> None:
    """Mark the pixels whose centre is inside, by the even-odd rule; mark an area thinner than
    pixels along its edges."""
    x, y = np.array(corners, np.float64).T
    rows, columns = _crossings(x, y, mask.shape)
    marked = _between(rows, columns, mask)
    if not marked and _is_within(x, y, mask.shape):
        steps = int(max(np.ptp(x), np.ptp(y))) + 2
        for one, other in zip(corners, (*corners[1:], corners[0]), strict=True):
            path = np.linspace(one, other, steps).astype(int)
            path = path.clip(0, np.array(mask.shape[::-1]) - 1)
            mask[path[:, 1], path[:, 0]] = True


def _crossings(
    x: NDArray[np.float64], y: NDArray[np.float64], size: tuple[int, ...]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return, for each crossing of an edge with the middle of a row of pixels, the row and the
    first column whose centre is to the right."""
    x1, y1 = np.roll(x, -1), np.roll(y, -1)
    first = np.ceil(np.minimum(y, y1) - 0.5).clip(0, size[0]).astype(np.int64)
    last = np.ceil(np.maximum(y, y1) - 0.5).clip(0, size[0]).astype(np.int64)
    counts = last - first
    if counts.sum() > _MOST_CROSSINGS:
        raise ValueError("a shape of too many edges")
    edge = np.repeat(np.arange(len(x)), counts)
    rows = np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts) + first[edge]
    slope = (x1 - x)[edge] / (y1 - y)[edge]
    at = x[edge] + (rows + 0.5 - y[edge]) * slope
    return rows, np.ceil(at - 0.5).clip(0, size[1]).astype(np.int64)


def _between(rows: NDArray[np.int64], columns: NDArray[np.int64], mask: Filled) -> bool:
    """Mark from every odd crossing of a row to the next; return whether anything was marked."""
    if not len(rows):
        return False
    top, left = int(rows.min()), int(columns.min())
    height, width = int(rows.max()) - top + 1, int(columns.max()) - left + 1
    places = (rows - top) * width + columns - left
    odd = (np.bincount(places, minlength=height * width) & 1).astype(np.uint8)
    inside = np.bitwise_xor.accumulate(odd.reshape(height, width), axis=1).astype(bool)
    part = inside[:, : mask.shape[1] - left]
    mask[top : top + height, left : left + part.shape[1]] |= part
    return bool(part.any())


def _is_within(x: NDArray[np.float64], y: NDArray[np.float64], size: tuple[int, ...]) -> bool:
    return bool(x.min() >= 0 and y.min() >= 0 and x.max() <= size[1] and y.max() <= size[0])


def _put(mask: Filled, filled: Filled, corner: tuple[int, int]) -> None:
    top, left = corner
    bottom, right = top + filled.shape[0], left + filled.shape[1]
    rows = slice(max(0, top), max(0, min(mask.shape[0], bottom)))
    columns = slice(max(0, left), max(0, min(mask.shape[1], right)))
    part = filled[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    mask[rows, columns] |= part


def _put_runs(mask: Filled, lengths: NDArray[np.int64]) -> None:
    ends = np.cumsum(lengths)
    starts, marked = (ends - lengths)[1::2], lengths[1::2]
    if marked.sum() > _MANY_MARKED:
        marks = np.arange(len(lengths)) % 2 == 1
        mask |= np.repeat(marks, lengths).reshape(mask.shape[::-1]).T
        return
    places = np.arange(marked.sum()) + np.repeat(starts - (np.cumsum(marked) - marked), marked)
    mask[places % mask.shape[0], places // mask.shape[0]] = True
