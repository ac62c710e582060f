"""Thresholds against their definition, and against what happens to parts never seen."""

from __future__ import annotations

import re
from fractions import Fraction

import numpy as np
import pytest

from flawmap.calibration import calibrate, conformal_threshold, images_needed, p_value
from flawmap.errors import FlawmapError, UsageError

RATES = (0.01, 0.05, 0.1, 0.25, 1 / 3, 0.5, 0.9, 0.999)


def most_rejected(count: int, rate: float) -> int:
    """By search: the largest k <= count with k / (count + 1) <= rate, but at least 1."""
    asked = Fraction(rate).limit_denominator(10**6)
    allowed = [k for k in range(1, count + 1) if Fraction(k, count + 1) <= asked]
    return max(allowed, default=1)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("count", [1, 2, 3, 5, 9, 10, 19, 20, 99, 100])
def test_threshold_is_the_kth_largest(count: int, rate: float) -> None:
    scores = np.random.default_rng(count).permutation(count).astype(float)
    k = most_rejected(count, rate)
    found = conformal_threshold(scores.tolist(), rate)
    assert found.value == sorted(scores, reverse=True)[k - 1]
    assert found.rate == pytest.approx(k / (count + 1))
    assert found.asked == rate


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("ties", [False, True])
def test_each_part_in_turn_as_the_new_one(rate: float, ties: bool) -> None:
    """Of n + 1 exchangeable parts, those rejected by the n others are the guarantee itself."""
    rng = np.random.default_rng(7)
    for count in (1, 2, 6, 13, 40):
        pool = rng.integers(0, 4, count + 1) if ties else rng.permutation(count + 1)
        rejected = 0
        for i, score in enumerate(pool):
            others = np.delete(pool, i).astype(float).tolist()
            rejected += bool(score > conformal_threshold(others, rate).value)
        k = most_rejected(count, rate)
        assert rejected <= k
        if not ties:
            assert rejected == k, "a threshold higher than it need be misses flaws"


@pytest.mark.parametrize(("count", "rate"), [(10, 0.1), (19, 0.05), (30, 0.1)])
def test_mean_false_reject_rate_of_new_parts(count: int, rate: float) -> None:
    rng = np.random.default_rng(0)
    trials = 4000
    draws = rng.gamma(2.0, size=(trials, count))
    values = [conformal_threshold(row.tolist(), rate).value for row in draws]
    # Gamma(2): P(score > t) = (1 + t) exp(-t), so no sampling of the new parts is needed
    false_rejects = [(1 + t) * np.exp(-t) for t in values]
    promised = conformal_threshold(draws[0].tolist(), rate).rate
    assert promised <= rate
    error = 4 * np.std(false_rejects) / np.sqrt(trials)
    assert np.mean(false_rejects) == pytest.approx(promised, abs=error)


def test_p_value_is_its_formula_and_never_too_small() -> None:
    rng = np.random.default_rng(3)
    for count in (1, 5, 24):
        pool = rng.integers(0, 8, count + 1).astype(float).tolist()
        found = []
        for i, score in enumerate(pool):
            others = pool[:i] + pool[i + 1 :]
            expected = (1 + sum(1 for other in others if other >= score)) / (count + 1)
            assert p_value(others, score) == expected
            found.append(expected)
        for level in np.linspace(0, 1, 21):
            assert sum(p <= level for p in found) <= level * (count + 1) + 1e-9


def test_verdicts_agree_with_p_values() -> None:
    rng = np.random.default_rng(5)
    scores = rng.normal(size=150).tolist()
    found = calibrate(scores, scores)
    for score in [*rng.normal(scale=2.0, size=300).tolist(), *scores]:
        p = found.p_value(score)
        expected = "reject" if p <= 0.01 else "review" if p <= 0.05 else "good"
        # one score equal to a held-out one counts that one as at least as odd
        assert found.verdict(score) == expected


def test_a_score_on_the_threshold_passes() -> None:
    found = calibrate([0.1, 0.2, 0.3], [1.0, 2.0, 3.0], false_reject=0.25, review=0.5)
    assert (found.reject.value, found.review.value, found.pixel.value) == (0.3, 0.2, 3.0)
    assert [found.verdict(s) for s in (0.2, 0.21, 0.3, 0.31)] == [
        "good", "review", "review", "reject",
    ]  # fmt: skip


def test_one_held_out_image() -> None:
    found = calibrate([0.4], [0.9])
    assert found.reject.value == found.review.value == 0.4
    assert found.reject.rate == 0.5
    assert found.p_value(0.5) == 0.5
    assert found.p_value(0.4) == 1.0


def test_all_scores_equal() -> None:
    found = calibrate([0.7] * 200, [0.9] * 200)
    assert found.reject.value == 0.7
    assert found.verdict(0.7) == "good"
    assert found.verdict(np.nextafter(0.7, 1)) == "reject"


@pytest.mark.parametrize("rate", [0.01, 0.02, 0.05, 0.1, 0.3, 0.5, 0.99, 1 / 3, 1 / 7])
def test_images_needed_is_the_fewest_that_can_vouch(rate: float) -> None:
    def vouched(count: int) -> float:
        return conformal_threshold(list(range(count)), rate).rate

    needed = images_needed(rate)
    assert vouched(needed) <= rate + 1e-12
    assert needed == 1 or vouched(needed - 1) > rate


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, 1.5, float("nan")])
def test_a_senseless_rate_is_wrong_usage(rate: float) -> None:
    with pytest.raises(UsageError, match="between 0 and 1"):
        conformal_threshold([0.1, 0.2], rate)


def test_no_scores_or_no_numbers() -> None:
    with pytest.raises(UsageError, match="at least one"):
        conformal_threshold([], 0.1)
    for bad in (float("nan"), float("inf")):
        with pytest.raises(FlawmapError, match="finite"):
            calibrate([0.1, bad, 0.3], [0.1, 0.2, 0.3])


def test_statement_where_the_images_suffice() -> None:
    scores = np.linspace(0, 1, 199).tolist()
    assert calibrate(scores, scores).statement() == (
        "Of good parts like these 199 held-out ones, at most 1.0% on average will be rejected "
        "and at most 5.0% sent to review or rejected, and at most 1.0% will show any marked pixel."
    )


def test_statement_where_they_do_not() -> None:
    assert calibrate([1.0, 2.0, 3.0, 4.0, 5.0], [1.0] * 5).statement() == (
        "Of good parts like these 5 held-out ones, at most 16.7% on average will be rejected, "
        "and at most 16.7% will show any marked pixel. Asked for was 1.0%: that takes at least "
        "99 held-out good images."
    )


@pytest.mark.parametrize("count", range(1, 120))
def test_statement_never_promises_more_than_holds(count: int) -> None:
    scores = np.linspace(0, 1, count).tolist()
    found = calibrate(scores, scores)
    match = re.search(r"at most ([0-9.]+)% on average", found.statement())
    assert match
    told = float(match[1]) / 100
    assert found.reject.rate - 1e-9 <= told < found.reject.rate + 0.001
