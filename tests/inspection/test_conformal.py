"""Thresholds against their definition, and against what happens to parts never seen."""

from __future__ import annotations

import json
import re
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from flawmap.errors import FlawmapError, UsageError
from flawmap.inspection.conformal import (
    Calibration,
    conformal_threshold,
    images_needed,
    p_value,
    rejection_bound,
    share_interval,
)

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
    found = Calibration.from_scores(scores, scores)
    for score in [*rng.normal(scale=2.0, size=300).tolist(), *scores]:
        p = found.p_value(score)
        expected = "reject" if p <= 0.01 else "review" if p <= 0.05 else "good"
        # one score equal to a held-out one counts that one as at least as odd
        assert found.verdict(score) == expected


def test_a_score_on_the_threshold_passes() -> None:
    found = Calibration.from_scores([0.1, 0.2, 0.3], [1.0, 2.0, 3.0], false_reject=0.25, review=0.5)
    assert (found.reject.value, found.review.value, found.pixel.value) == (0.3, 0.2, 3.0)
    assert [found.verdict(s) for s in (0.2, 0.21, 0.3, 0.31)] == [
        "good", "review", "review", "reject",
    ]  # fmt: skip


def test_one_held_out_image() -> None:
    found = Calibration.from_scores([0.4], [0.9])
    assert found.reject.value == found.review.value == 0.4
    assert found.reject.rate == 0.5
    assert found.p_value(0.5) == 0.5
    assert found.p_value(0.4) == 1.0


def test_all_scores_equal() -> None:
    found = Calibration.from_scores([0.7] * 200, [0.9] * 200)
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
            Calibration.from_scores([0.1, bad, 0.3], [0.1, 0.2, 0.3])


def test_statement_where_the_images_suffice() -> None:
    scores = np.linspace(0, 1, 199).tolist()
    assert Calibration.from_scores(scores, scores).statement() == (
        "Of good parts like these 199, at most 1.0% on average will be rejected; with 95% "
        "confidence over the draw of the 199, at most 2.4%. Sent to review or rejected: at most "
        "5.0% on average, 7.8% with that confidence. With any marked pixel: at most 1.0% on "
        "average."
    )


def test_statement_where_they_do_not() -> None:
    assert Calibration.from_scores([1.0, 2.0, 3.0, 4.0, 5.0], [1.0] * 5).statement() == (
        "Of good parts like these 5, at most 16.7% on average will be rejected; with 95% "
        "confidence over the draw of the 5, at most 45.1%. With any marked pixel: at most 16.7% on "
        "average. The requested rate of 1.0% takes at least 99 good images that it was not trained "
        "on."
    )


def test_the_issue_s_own_example() -> None:
    """212 good parts and 0.5 %: rank 1, and with 95 % confidence at most 1.4 %."""
    scores = np.linspace(0, 1, 212).tolist()
    found = Calibration.from_scores(scores, scores, false_reject=0.005)
    assert found.reject.rate == 1 / 213
    assert found.bound(found.reject) == pytest.approx(1 - 0.05 ** (1 / 212))


@pytest.mark.parametrize(("rank", "count"), [(1, 5), (1, 59), (3, 100), (20, 20)])
def test_bound_is_the_beta_quantile(rank: int, count: int) -> None:
    expected = stats.beta(rank, count + 1 - rank).ppf(0.95)
    assert rejection_bound(rank, count) == pytest.approx(expected)


@pytest.mark.parametrize(("rank", "count", "future"), [(1, 20, 20), (2, 50, 30), (5, 99, 300)])
def test_bound_of_the_next_parts_is_the_beta_binomial_quantile(rank, count, future) -> None:
    expected = stats.betabinom(future, rank, count + 1 - rank).ppf(0.95) / future
    assert rejection_bound(rank, count, future) == pytest.approx(expected)


@pytest.mark.parametrize(("count", "rate"), [(12, 0.1), (41, 0.05), (212, 0.01)])
def test_the_confidence_holds_over_draws(count: int, rate: float) -> None:
    """As simulated: the bounds hold in 95 of 100 draws, and are not far too wide."""
    rng = np.random.default_rng(11)
    trials, future = 4000, 100
    draws = rng.random((trials, count + future))
    limits = [conformal_threshold(row[:count].tolist(), rate) for row in draws]
    found = Calibration.from_scores(draws[0, :count].tolist(), [1.0] * count, false_reject=rate)
    bound = found.bound(found.reject)
    shares = np.array([1 - limit.value for limit in limits])
    error = 4 * np.sqrt(0.05 * 0.95 / trials)
    assert np.mean(shares <= bound) == pytest.approx(0.95, abs=error)
    rank = round(found.reject.rate * (count + 1))
    of_next = rejection_bound(rank, count, future)
    values = np.array([limit.value for limit in limits])
    observed = (draws[:, count:] > values[:, None]).mean(1)
    assert np.mean(observed <= of_next) >= 0.95 - error
    assert np.mean(observed <= of_next - 1 / future) <= 0.95 + error


@pytest.mark.parametrize(
    ("hits", "total"), [(0, 1), (1, 1), (0, 30), (9, 10), (30, 30), (117, 119), (3, 2000)]
)
def test_interval_is_clopper_and_pearson_s(hits: int, total: int) -> None:
    expected = stats.binomtest(hits, total).proportion_ci(0.95, method="exact")
    assert share_interval(hits, total) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize(("hits", "total"), [(1, 0), (3, 2), (-1, 4)])
def test_a_share_that_is_none(hits: int, total: int) -> None:
    with pytest.raises(UsageError, match="Invalid share"):
        share_interval(hits, total)


@pytest.mark.parametrize("count", range(1, 120))
def test_statement_never_promises_more_than_holds(count: int) -> None:
    scores = np.linspace(0, 1, count).tolist()
    found = Calibration.from_scores(scores, scores)
    match = re.search(r"at most ([0-9.]+)% on average", found.statement())
    assert match
    told = float(match[1]) / 100
    assert found.reject.rate - 1e-9 <= told < found.reject.rate + 0.001


SOUND = Calibration.from_scores(
    [0.1, 0.2, 0.3, 0.4], [0.5, 0.6, 0.7, 0.8], false_reject=0.2, review=0.4, images=list("abcd")
).model_dump(mode="json")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"peaks": [0.5, 0.6, 0.7]}, "4 scores, but 3 map maxima"),
        ({"images": ["a"]}, "4 scores, but 1 images"),
        ({"reject": SOUND["reject"] | {"value": 0.01}}, "review threshold is above the reject"),
        ({"review": SOUND["review"] | {"value": 9.0}}, "review threshold is above the reject"),
        ({"review": SOUND["review"] | {"asked": 0.1}}, "review threshold is above the reject"),
        ({"pixel": SOUND["pixel"] | {"asked": 1.5}}, "a rate is not between 0 and 1"),
        ({"reject": SOUND["reject"] | {"rate": 0.0}}, "a rate is not between 0 and 1"),
    ],
)
def test_a_calibration_that_contradicts_itself_is_refused(changes, message) -> None:
    """As of a manifest that was edited by hand."""
    Calibration.model_validate(SOUND)
    with pytest.raises(ValueError, match=message):
        Calibration.model_validate(SOUND | changes)


@given(
    st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=40),
    st.floats(1e-4, 0.9),
    st.floats(1e-4, 0.9),
    st.data(),
)
@settings(max_examples=200, derandomize=True)
def test_a_calibration_that_validates_is_consistent(scores, reject, review, data) -> None:
    """Whatever one number of it is changed to: it is refused, or no promise is made, or it holds.

    A verdict never gets better as the score grows."""
    found = Calibration.from_scores(scores, scores, false_reject=reject, review=review)
    document = json.loads(found.model_dump_json())
    assert Calibration.model_validate(document) == found
    assert "by hand" not in found.statement()
    holder = document[data.draw(st.sampled_from(["reject", "review", "pixel"]))]
    holder[data.draw(st.sampled_from(["value", "asked", "rate"]))] = data.draw(st.floats(-2, 2))
    try:
        changed = Calibration.model_validate(document)
    except ValueError:
        return
    order = ("good", "review", "reject")
    verdicts = [changed.verdict(score) for score in sorted([*scores, -2e3, 2e3])]
    assert verdicts == sorted(verdicts, key=order.index)
    if "by hand" in changed.statement():
        return
    for limit in (changed.reject, changed.review):
        above = sum(score > limit.value for score in changed.scores)
        assert above < round(limit.rate * (len(scores) + 1)), "k - 1 lie above the k-th largest"
        assert limit.rate <= max(limit.asked, 1 / (len(scores) + 1)) + 1e-9


def test_thresholds_set_by_hand_promise_nothing() -> None:
    lower = Calibration.model_validate(SOUND | {"pixel": SOUND["pixel"] | {"value": 0.1}})
    assert lower.statement() == (
        "The thresholds were set by hand: the scores of these 4 good images guarantee nothing "
        "about them. flawmap calibrate computes them again."
    )
    assert 0 < lower.bound(lower.pixel.model_copy(update={"rate": 0.001})) < 1


def test_lengths_that_do_not_fit_are_wrong_usage() -> None:
    with pytest.raises(UsageError, match=r"\(2\), map maxima \(1\) and digests \(0\) differ"):
        Calibration.from_scores([0.1, 0.2], [0.1])
    with pytest.raises(UsageError, match=r"\(2\), map maxima \(2\) and digests \(1\) differ"):
        Calibration.from_scores([0.1, 0.2], [0.1, 0.2], images=["a"])
