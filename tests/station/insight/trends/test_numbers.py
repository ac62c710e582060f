"""The numbers behind the charts, against independent computations."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from flawmap.errors import UsageError
from flawmap.station.insight.errors import ErrorRates, Share, table_of
from flawmap.station.insight.ranges import DAY, HOUR, period
from flawmap.station.insight.trends.bins import bins_of, edge, merge, pack, quantiles
from flawmap.station.insight.trends.chart import p_chart
from flawmap.station.insight.trends.series import default_step, lines, series

RNG = np.random.default_rng(0)


def test_the_p_chart_has_the_deviations_of_binomial_counts() -> None:
    sizes = [50, 400, 0, 1000, 20, 3]
    hits = [2, 9, 0, 70, 0, 3]
    chart = p_chart(hits, sizes)
    p = sum(hits) / sum(sizes)
    assert chart.centre == pytest.approx(p)
    for index, (x, n) in enumerate(zip(hits, sizes, strict=True)):
        if n == 0:
            assert chart.share[index] is chart.low[index] is chart.high[index] is None
            assert not chart.outside[index]
            continue
        reach = 3 * stats.binom.std(n, p) / n
        assert chart.share[index] == pytest.approx(x / n)
        assert chart.low[index] == pytest.approx(max(0, p - reach))
        assert chart.high[index] == pytest.approx(min(1, p + reach))
        assert chart.outside[index] == (abs(x / n - p) > reach)
        assert chart.few[index] == (n * p < 5)
    assert chart.outside == [False, False, False, False, False, True]


@pytest.mark.parametrize("sizes", [[], [0, 0]])
def test_a_p_chart_of_nothing(sizes: list[int]) -> None:
    chart = p_chart(sizes, sizes)
    assert chart.centre is None
    assert chart.share == [None] * len(sizes)


def test_points_in_control_rarely_lie_outside() -> None:
    """About 0.3 % by chance: the check of the formula as a whole."""
    chart = p_chart(RNG.binomial(2000, 0.05, 20_000).tolist(), [2000] * 20_000)
    assert 0.001 < np.mean(chart.outside) < 0.006


DRAWS = {
    "scores": RNG.beta(2, 12, 5000),
    "distances": RNG.gamma(2, 300, 5000),
    "both signs": RNG.normal(0, 1, 5000),
    "zeros": np.r_[np.zeros(3000), RNG.random(2000)],
    "tiny and huge": 10.0 ** RNG.uniform(-12, 12, 5000),
    "one": np.array([0.25]),
}


@pytest.mark.parametrize("name", DRAWS)
def test_quantiles_are_exact_to_a_bin(name: str) -> None:
    """However the values are spread over histograms that are merged."""
    values = DRAWS[name]
    parts = np.array_split(values, 7)
    found = quantiles(
        merge([pack(one) for one in parts if len(one)]), [0.05, 0.25, 0.5, 0.75, 0.95]
    )
    assert found is not None
    expected = np.quantile(values, [0.05, 0.25, 0.5, 0.75, 0.95], method="inverted_cdf")
    assert np.allclose(found, expected, rtol=0.045, atol=2e-9)
    assert merge([pack(values)]) == pack(values)
    assert merge([pack(one) for one in parts]) == pack(values)


def test_each_value_lies_in_its_bin() -> None:
    for values in DRAWS.values():
        numbers = bins_of(values)
        low = np.abs(edge(numbers.astype(np.int64)))
        size = np.abs(values)
        assert (low <= size * (1 + 1e-9)).all()
        assert (size[size >= 1e-9] <= low[size >= 1e-9] * 2 ** (1 / 16) * (1 + 1e-9)).all()
    assert quantiles(b"", [0.5]) is None


def test_error_rates_with_exact_intervals() -> None:
    """Clopper and Pearson's interval, by SciPy's own binomial test."""
    rates = ErrorRates.of([[900, 3], [40, 12], [10, 85]])
    assert (rates.overkill.hits, rates.overkill.total) == (10, 950)
    assert (rates.escape.hits, rates.escape.total) == (3, 100)
    assert (rates.good_of_rejected.hits, rates.good_of_rejected.total) == (10, 95)
    assert (rates.defective_of_passed.hits, rates.defective_of_passed.total) == (3, 903)
    for share in (rates.overkill, rates.escape, Share.of(0, 7), Share.of(7, 7)):
        interval = stats.binomtest(share.hits, share.total).proportion_ci(0.95, "exact")
        assert (share.low, share.high) == pytest.approx((interval.low, interval.high), abs=1e-9)
    assert Share.of(0, 0).value is None
    table = table_of(np.array([0, 0, 1, 2, 2, 3], np.int8), np.array([0, 1, -1, 0, 1, 1], np.int8))
    assert table == [[1, 1], [0, 0], [1, 1]]


def hour(at: int, line: str = "a", **counts: int) -> Any:
    numbers = dict.fromkeys(("good", "review", "reject", "errors", "defects", "sampled"), 0)
    values = pack(np.array([0.1, 0.2]))
    return SimpleNamespace(hour=at, line=line, scores=values, latency=values, **(numbers | counts))


def at(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000


def test_hours_are_gathered_into_local_days_and_weeks() -> None:
    """Berlin changed to winter time on 2026-10-25: that day had 25 hours."""
    rows = [
        hour(at("2026-10-24T21:00"), good=5, reject=1),  # 23:00 in Berlin
        hour(at("2026-10-24T22:00"), good=7),  # the 25th begins
        hour(at("2026-10-25T22:00"), good=2, line="b"),  # its last hour
        hour(at("2026-10-25T23:00"), good=1, review=3),
        hour(at("2026-10-28T09:00"), errors=2),
    ]
    days = series(rows, "day", "Europe/Berlin")
    assert [datetime.fromtimestamp(one / 1e6, UTC).isoformat()[:16] for one in days.at] == [
        "2026-10-23T22:00", "2026-10-24T22:00", "2026-10-25T23:00", "2026-10-26T23:00",
        "2026-10-27T23:00",
    ]  # fmt: skip
    assert (days.parts, days.errors) == ([6, 9, 4, 0, 0], [0, 0, 0, 0, 2])
    assert days.scores[3] is None
    flagged = series(rows, "day", "Europe/Berlin", "flagged")
    assert flagged.share[2] == pytest.approx(3 / 4)
    weeks = series(rows, "week", "Europe/Berlin")
    assert weeks.parts == [15, 4]
    assert datetime.fromtimestamp(weeks.at[1] / 1e6, UTC).isoformat()[:16] == "2026-10-25T23:00"
    assert series(rows, "day", "No/Where").zone == "UTC"
    assert [(one.line, one.parts) for one in lines(rows)] == [("a", 17), ("b", 2)]


def test_steps_and_ranges() -> None:
    assert default_step(0, 7 * DAY) == "hour"
    assert default_step(0, 30 * DAY) == "day"
    assert default_step(0, 365 * DAY) == "week"
    chosen = period("24h")
    assert chosen.end - chosen.start == 24 * HOUR
    assert period("", "2026-01-01T00:00Z", "2026-01-02T01:00+01:00")[:2] == (
        at("2026-01-01T00:00"),
        at("2026-01-02T00:00"),
    )
    for span, first, last in (("9y", "", ""), ("7d", "x", ""), ("7d", "2026-02-01", "2026-01-01")):
        with pytest.raises(UsageError):
            period(span, first, last)
