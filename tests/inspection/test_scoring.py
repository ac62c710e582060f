"""From a map to a score."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from flawmap import FlawmapError
from flawmap.inspection.scoring import Scoring

MAP = np.arange(12, dtype=np.float32).reshape(3, 4)


@pytest.mark.parametrize(
    ("configuration", "score"),
    [
        ({}, 11.0),
        ({"top_pixels": 3, "levels": [1, 2]}, 10.0),
        ({"top_pixels": 99}, 5.5),
        ({"score_sigma": 1}, float(ndimage.gaussian_filter(MAP, 1.0, mode="nearest").max())),
    ],
)
def test_the_mean_of_the_highest_values(configuration, score):
    assert Scoring.of(configuration)(MAP) == pytest.approx(score)


def test_where_values_count():
    assert Scoring.of({"top_pixels": 2})(MAP, MAP < 5) == 3.5


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("top_pixels", "../../etc/passwd"),
        ("top_pixels", 0),
        ("top_pixels", None),
        ("top_pixels", True),
        ("score_sigma", "1"),
        ("score_sigma", 1e9),
        ("score_sigma", float("nan")),
    ],
)
def test_a_configuration_edited_by_hand(key, value):
    with pytest.raises(FlawmapError, match=rf"^The manifest is damaged at configuration\.{key} "):
        Scoring.of({key: value})
