"""Defects against a flood fill written out, and boxes against exact fractions."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from flawmap.inspection.defects import Filters, find_defects

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
    mask, found, count = find_defects(values, threshold, image)
    assert mask.dtype == np.uint8
    assert np.array_equal(mask, values > threshold)
    assert count == len(found)
    expected = [described(region, values, image) for region in flood(values > threshold)]
    assert sorted((d.box, d.area, d.peak) for d in found) == sorted(expected)
    assert [d.peak for d in found] == sorted((d.peak for d in found), reverse=True)


def test_corners_touch() -> None:
    """A diagonal scratch is one defect, not a dozen."""
    values = np.eye(9, dtype=np.float32)
    found = find_defects(values, 0.5, (9, 9)).defects
    assert [(d.box, d.area) for d in found] == [((0, 0, 9, 9), 9)]


def test_boxes_never_leave_the_photograph() -> None:
    for size in range(1, 60):
        for height in range(1, 90, 7):
            values = np.ones((size, size), np.float32)
            found = find_defects(values, 0.5, (height, height + 1)).defects
            assert [d.box for d in found] == [(0, 0, height + 1, height)]
            assert found[0].area == height * (height + 1)


@pytest.mark.parametrize("value", [0.0, 0.5])
def test_nothing_above_the_threshold(value: float) -> None:
    mask, found, _ = find_defects(np.full((4, 6), value, np.float32), 0.5, (40, 60))
    assert found == []
    assert mask.shape == (4, 6)
    assert not mask.any()


def test_numbers_are_plain_ones_that_json_takes() -> None:
    (found,) = find_defects(np.ones((2, 2), np.float32), 0.5, (2, 2)).defects
    kinds = {type(v) for v in (*found.box, found.area)}
    assert kinds == {int}
    assert {type(v) for v in (found.peak, found.mean, found.length)} == {float}


def spots() -> Map:
    """A bright pixel, a faint 2x2 square, and a bar of 1x5; three pixels or more apart."""
    values = np.zeros((12, 20), np.float32)
    values[1, 1] = 0.9
    values[5:7, 4:6] = 0.6
    values[9, 12:17] = [0.7, 0.8, 0.7, 0.7, 0.7]
    return values


@pytest.mark.parametrize(
    ("filters", "areas"),
    [
        ({}, [1, 5, 4]),
        ({"min_area": 4}, [5, 4]),
        ({"min_area": 4.5}, [5]),
        ({"min_peak": 0.7}, [1, 5]),
        ({"min_peak": 0.7, "min_area": 2}, [5]),
        ({"min_area": 99}, []),
    ],
)
def test_filters(filters: dict[str, float], areas: list[int]) -> None:
    found = find_defects(spots(), 0.5, (12, 20), Filters(**filters))
    assert [d.area for d in found.defects] == areas
    assert found.mask.sum() == sum(areas)
    assert found.regions == 3


def test_an_area_is_one_of_the_photograph() -> None:
    """Twice as large each way, the square of 4 cells has 16 pixels."""
    found = find_defects(spots(), 0.5, (24, 40), Filters(min_area=5))
    assert [d.area for d in found.defects] == [20, 16]


@pytest.mark.parametrize(("distance", "count"), [(0, 3), (1, 3), (4, 3), (6, 2), (9, 1)])
def test_near_regions_are_one(distance: float, count: int) -> None:
    """The square is 5 pixels from the single one and 7.6 from the bar, centre to centre."""
    found = find_defects(spots(), 0.5, (12, 20), Filters(merge_distance=distance))
    assert len(found.defects) == found.regions == count
    assert sum(d.area for d in found.defects) == 10
    assert found.mask.sum() == 10


def test_mean_and_length() -> None:
    bar = find_defects(spots(), 0.5, (12, 20)).defects[1]
    assert bar.mean == pytest.approx(0.72)
    assert bar.length == pytest.approx(np.hypot(5, 1), rel=0.002)
    wide = find_defects(spots(), 0.5, (12, 40)).defects[1]
    assert wide.length == pytest.approx(np.hypot(10, 1), rel=0.002)
    diagonal = find_defects(np.eye(30, dtype=np.float32), 0.5, (30, 30)).defects[0]
    assert diagonal.length == pytest.approx(np.hypot(30, 30), rel=0.002)


@pytest.mark.parametrize("seed", range(5))
def test_length_is_the_largest_extent_of_all_pixels(seed: int) -> None:
    """Found from the outermost pixels alone, which matters where a region has millions."""
    noise = np.random.default_rng(seed).random((40, 60))
    marked = (ndimage.gaussian_filter(noise, 3) > 0.5).astype(np.float32)
    labels, count = ndimage.label(marked, np.ones((3, 3)))
    largest = int(np.bincount(labels.ravel())[1:].argmax()) + 1
    rows, columns = np.nonzero(labels == largest)
    angles = np.linspace(0, np.pi, 36, endpoint=False)[:, None]
    along = np.cos(angles) * columns + np.sin(angles) * rows
    pixel = np.abs(np.cos(angles[:, 0])) + np.abs(np.sin(angles[:, 0]))
    expected = round(float((np.ptp(along, axis=1) + pixel).max()), 2)
    found = find_defects(np.where(labels == largest, marked, 0), 0.5, marked.shape).defects
    assert count >= 1
    assert [one.length for one in found] == [expected]
