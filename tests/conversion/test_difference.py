"""Differences by hand, on two graphs that are not there."""

from __future__ import annotations

import numpy as np
import pytest

from flawmap.backends.base import Backend
from flawmap.calibration import calibrate
from flawmap.conversion.difference import measure_difference


class Fixed(Backend):
    """Maps and scores given beforehand, image by image."""

    name = "fixed"
    size = (2, 2)

    def __init__(self, maps, scores):
        self._answers = iter(zip(maps, scores, strict=True))

    def __call__(self, images):
        found, score = next(self._answers)
        return np.full((1, 2, 2), found, np.float32), np.array([score], np.float32)


def test_by_hand():
    images = np.zeros((3, 2, 2, 3), np.uint8)
    first = Fixed([0.0, 0.5, 0.25], [0.1, 0.5, 0.9])
    other = Fixed([0.25, 0.5, 0.0], [0.1, 0.75, 0.4])
    low, high = (calibrate([limit] * 20, [1.0] * 20) for limit in (0.45, 0.6))
    found = measure_difference(first, other, images, (low, high))
    assert (found.images, found.map_max) == (3, 0.25)
    assert found.map_mean == pytest.approx(0.5 / 3)
    assert found.score_max == pytest.approx(0.5)
    assert found.score_mean == pytest.approx(0.75 / 3)
    assert found.flips == 1, "0.5 against 0.45 and 0.75 against 0.6 agree; 0.9 and 0.4 do not"


def test_a_map_that_is_no_number_is_a_difference():
    images = np.zeros((2, 2, 2, 3), np.uint8)
    same = calibrate([1.0] * 20, [1.0] * 20)
    found = measure_difference(
        Fixed([0.0, 0.0], [0.0, 0.0]), Fixed([np.nan, 0.0], [0.0, 0.0]), images, (same, same)
    )
    assert np.isnan(found.map_max)
