"""The test's promise, by simulation: how often it errs, and how soon it sees."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from flawmap.calibration.martingale import conformal_p_values, find_drift, log_capital
from flawmap.errors import UsageError
from flawmap.inspection.conformal import conformal_threshold

Draw = Callable[[np.random.Generator, int], NDArray[np.float64]]
PARTS = 1000
DRAWS: dict[str, Draw] = {
    "normal": lambda rng, count: rng.normal(size=count),
    "ties": lambda rng, count: rng.poisson(2.0, count).astype(float),
}


def below(
    calibration: NDArray[np.float64], scores: NDArray[np.float64], false_reject: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What of both is below the reject threshold, as the inspector's function tests it."""
    limit = conformal_threshold(calibration.tolist(), false_reject).value
    return calibration[calibration < limit], scores[scores < limit]


@pytest.mark.parametrize(
    ("kind", "truncated"), [("normal", False), ("normal", True), ("ties", True)]
)
@pytest.mark.parametrize("count", [12, 41, 200])
def test_false_alarms_are_as_rare_as_promised(count: int, truncated: bool, kind: str) -> None:
    """At 10 %, which shows an error sooner than 1 % does."""
    streams, rate, alarms = 400, 0.1, 0
    for seed in range(streams):
        rng = np.random.default_rng([count, seed])
        before, after = DRAWS[kind](rng, count), DRAWS[kind](rng, PARTS)
        if truncated:
            before, after = below(before, after, 0.01)
        alarms += find_drift(before.tolist(), after.tolist(), rate).alarm_at is not None
    assert alarms <= rate * streams + 2.5 * np.sqrt(streams * rate * (1 - rate))


@pytest.mark.parametrize("shift", [1.0, -1.0])
@pytest.mark.parametrize(
    ("count", "good_before", "within"), [(200, 0, 60), (41, 300, 120), (12, 300, 250)]
)
def test_a_shift_of_one_deviation_is_seen(
    count: int, good_before: int, within: int, shift: float
) -> None:
    """At 1 %, in nine of ten streams, rejected parts left out; ``within`` counts all parts."""
    seen = []
    for seed in range(60):
        rng = np.random.default_rng([count, seed])
        scores = rng.normal(size=good_before + within)
        scores[good_before:] += shift
        before, after = below(rng.normal(size=count), scores, 0.01)
        found = find_drift(before.tolist(), after.tolist(), 0.01)
        seen.append(found.direction == ("higher" if shift > 0 else "lower"))
    assert np.mean(seen) >= 0.9


def test_p_values_are_ranks_among_all_before() -> None:
    rng = np.random.default_rng(0)
    before, after = rng.integers(0, 5, 7).tolist(), rng.integers(0, 5, 40).tolist()
    found = conformal_p_values(before, after)
    for index, score in enumerate(after):
        bag = np.array(before + after[: index + 1])
        most, least = np.count_nonzero(bag >= score), np.count_nonzero(bag > score)
        assert least / len(bag) <= found[index] < most / len(bag)


@pytest.mark.parametrize("kind", DRAWS)
def test_p_values_are_uniform_and_independent(kind: str) -> None:
    from scipy import stats

    rng = np.random.default_rng(1)
    pairs = [
        conformal_p_values(row[:5].tolist(), row[5:].tolist())
        for row in DRAWS[kind](rng, 2000 * 7).reshape(2000, 7)
    ]
    # the tie-breaking chance is the same in all, so that it is the ranks that are tested
    first, second = np.transpose(pairs)
    assert stats.chi2_contingency(np.histogram2d(first, second, bins=3)[0]).pvalue > 0.001
    if kind == "normal":
        for place, column in enumerate((first, second)):
            ranks = np.floor(column * (6 + place))
            assert stats.chisquare(np.bincount(ranks.astype(int))).pvalue > 0.001


def test_lines_added_later_change_nothing_before() -> None:
    rng = np.random.default_rng(2)
    before, after = rng.integers(0, 9, 12).tolist(), rng.integers(0, 9, 50).tolist()
    some, more = conformal_p_values(before, after[:20]), conformal_p_values(before, after)
    assert some.tolist() == more[:20].tolist()


def test_the_capital_is_a_martingale_from_one() -> None:
    """Over a grid of p-values for the next part, its mean is what it was before."""
    rng = np.random.default_rng(3)

    def total(p_values: list[float]) -> float:
        kept, staked = log_capital(np.array(p_values))
        return float(np.exp(kept[-1]) + np.exp(staked[:, -1]).sum())

    past: list[float] = []
    now = 1.0
    for p in rng.random(6) ** 2:
        grid = (np.arange(1000) + 0.5) / 1000
        assert np.mean([total([*past, q]) for q in grid]) == pytest.approx(now, rel=1e-9)
        past.append(float(p))
        now = total(past)


def test_one_odd_part_raises_no_alarm() -> None:
    rng = np.random.default_rng(4)
    before, after = rng.normal(size=50), rng.normal(size=200)
    after[100] = 1e6
    calm, odd = (
        find_drift(before.tolist(), scores.tolist(), 0.01)
        for scores in (np.delete(after, 100), after)
    )
    assert calm.alarm_at is None
    assert odd.alarm_at is None
    assert odd.value < 2 * calm.value


@pytest.mark.parametrize(("trend", "direction"), [(1.0, "higher"), (-1.0, "lower")])
def test_a_trend_without_end_is_no_overflow(trend: float, direction: str) -> None:
    found = find_drift([], (trend * np.arange(20_000.0)).tolist(), 1e-6)
    assert found.direction == direction
    assert 1e6 <= found.value < 2e6
    assert found.alarm_at is not None
    assert found.alarm_at < 60


def test_nothing_to_test_and_all_alike() -> None:
    assert find_drift([1.0, 2.0], [], 0.01).value == 1.0
    alike = find_drift([0.5] * 20, [0.5] * 500, 0.01)
    assert alike.alarm_at is None
    assert alike.value >= 1.0


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, float("nan")])
def test_a_senseless_rate_is_wrong_usage(rate: float) -> None:
    with pytest.raises(UsageError, match="between 0 and 1"):
        find_drift([1.0], [1.0], rate)
