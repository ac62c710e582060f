"""Defects against a flood fill written out, and boxes against exact fractions."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor

import numpy as np
import pytest
from numpy.typing import NDArray

from flawmap.inspector.regions import find_defects

Map = NDArray[np.float32]


def flood(above: NDArray[np.bool_]) -> list[list[tuple[int, int]]]:
    """The 8-connected regions, as lists of (row, column)."""
    left = {(int(r), int(c)) for r, c in zip(*np.nonzero(above), strict=True)}
    regions = []
    while left:
        region, edge = [], [left.pop()]
        while edge:
            r, c = edge.pop()
            region.append((r, c))
            near = {(r + i, c + j) for i in (-1, 0, 1) for j in (-1, 0, 1)} & left
            left -= near
            edge += near
        regions.append(region)
    return regions


def described(
    region: list[tuple[int, int]], values: Map, image: tuple[int, int]
) -> tuple[tuple[int, ...], int, float]:
    down = Fraction(image[0], values.shape[0])
    across = Fraction(image[1], values.shape[1])
    rows, columns = [r for r, _ in region], [c for _, c in region]
    y, bottom = floor(min(rows) * down), ceil((max(rows) + 1) * down)
    x, right = floor(min(columns) * across), ceil((max(columns) + 1) * across)
    area = max(1, round(float(len(region) * down * across)))
    return (x, y, right - x, bottom - y), area, max(float(values[p]) for p in region)


@pytest.mark.parametrize("image", [(16, 20), (32, 40), (50, 61), (7, 9), (1, 1), (3000, 17)])
@pytest.mark.parametrize("density", [0.02, 0.2, 0.45, 0.9])
def test_boxes_areas_and_peaks(image: tuple[int, int], density: float) -> None:
    rng = np.random.default_rng(int(100 * density))
    values = rng.random((16, 20)).astype(np.float32)
    threshold = 1.0 - density
    mask, found = find_defects(values, threshold, image)
    assert mask.dtype == np.uint8
    assert np.array_equal(mask, values > threshold)
    expected = [described(region, values, image) for region in flood(values > threshold)]
    assert sorted((d.box, d.area, d.peak) for d in found) == sorted(expected)
    assert [d.peak for d in found] == sorted((d.peak for d in found), reverse=True)


def test_corners_touch() -> None:
    """A diagonal scratch is one defect, not a dozen."""
    values = np.eye(9, dtype=np.float32)
    _, found = find_defects(values, 0.5, (9, 9))
    assert [(d.box, d.area) for d in found] == [((0, 0, 9, 9), 9)]


def test_boxes_never_leave_the_photograph() -> None:
    for size in range(1, 60):
        for height in range(1, 90, 7):
            values = np.ones((size, size), np.float32)
            _, found = find_defects(values, 0.5, (height, height + 1))
            assert [d.box for d in found] == [(0, 0, height + 1, height)]
            assert found[0].area == height * (height + 1)


@pytest.mark.parametrize("value", [0.0, 0.5])
def test_nothing_above_the_threshold(value: float) -> None:
    mask, found = find_defects(np.full((4, 6), value, np.float32), 0.5, (40, 60))
    assert found == []
    assert mask.shape == (4, 6)
    assert not mask.any()


def test_numbers_are_plain_ones_that_json_takes() -> None:
    _, (found,) = find_defects(np.ones((2, 2), np.float32), 0.5, (2, 2))
    kinds = {type(v) for v in (*found.box, found.area)}
    assert kinds == {int}
    assert type(found.peak) is float
