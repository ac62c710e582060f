"""Scores that stand apart are named, and ordinary samples name none."""

from __future__ import annotations

import numpy as np
import pytest

from flawmap.calibration.outliers import outliers

SAMPLES = {
    "normal": lambda rng, n: rng.normal(size=n),
    "normal, positive": lambda rng, n: 10.0 + rng.normal(size=n),
    "lognormal": lambda rng, n: rng.lognormal(0.0, 1.0, n),
    "gamma": lambda rng, n: rng.gamma(1.0, size=n),
    "gamma, peaked": lambda rng, n: rng.gamma(9.0, size=n),
}


@pytest.mark.parametrize("kind", SAMPLES)
@pytest.mark.parametrize("count", [5, 6, 8, 20, 100, 400])
def test_ordinary_samples_name_none(kind, count):
    """1 % is meant; 2 % of 1,500 samples and three standard errors more are allowed."""
    rng = np.random.default_rng(count)
    fired = sum(bool(outliers(SAMPLES[kind](rng, count))) for _ in range(1500))
    assert fired <= 1500 * 0.02 + 3 * np.sqrt(1500 * 0.02 * 0.98)


@pytest.mark.parametrize("count", [8, 20, 100, 400])
def test_a_score_of_seven_times_the_next_is_named(count):
    rng = np.random.default_rng(0)
    named = 0
    for _ in range(100):
        scores = 0.005 * rng.lognormal(0.0, 0.15, count)
        scores[3] = 7.0 * scores.max()
        named += outliers(scores)[:1] == (3,)
    assert named == 100


def test_several_are_named_highest_first():
    scores = [0.011, 0.012, 0.5, 0.0101, 0.4, 0.0105, 0.0115, 0.0108]
    assert outliers(scores) == (2, 4)
    assert outliers([0.1, 0.1, 0.9, 0.1, 0.1, 0.8]) == (2, 5)


@pytest.mark.parametrize(
    "scores",
    [
        [], [1.0], [1.0, 1.0, 1.0, 9.0], [0.5] * 12, [0.0] * 9,
        [0.1] * 20 + [0.1 + 1e-9],  # rounding
        [0.1, 0.1001, 0.1002, 0.1, 0.1001, 0.104],  # of no weight
        [0.01] * 5 + [0.9] * 5,  # two kinds of parts, not a few odd ones
    ],
)  # fmt: skip
def test_nothing_to_name(scores):
    assert outliers(scores) == ()


def test_scores_of_zero_and_below_are_read_as_they_are():
    assert outliers([0.0, 0.0, 0.0, 0.0, 0.0, 0.5]) == (5,)
    assert outliers([-1.0, -1.1, -0.9, -1.0, -1.05, 30.0]) == (5,)
