"""The parts that count and order: intervals, outcomes, ticks, thinning, markup."""

from __future__ import annotations

import numpy as np
import pytest

from flawmap.evaluation.report.axes import Scale, linear_ticks, log_ticks, scale_over, svg, text
from flawmap.evaluation.report.charts import (
    _running_median,
    chart_points,
    loss_chart,
    score_histogram,
    score_scale,
)
from flawmap.evaluation.report.outcome import judged, most_wrong_first, of_label, outcome_of, tally

from .samples import THRESHOLDS, row


def test_most_wrong_first() -> None:
    rows = [
        row("passed", "good", 0.1),
        row("just passed", "good", 0.39),
        row("just caught", "defective", 0.62),
        row("caught", "defective", 0.95),
        row("defect to review", "defective", 0.5),
        row("good to review", "good", 0.5),
        row("false alarm", "good", 0.7),
        row("worse false alarm", "good", 0.8),
        row("missed", "defective", 0.3),
        row("worse missed", "defective", 0.2),
        row("outside", "defective", 0.1, outside=True),
        row("unreadable", "good", float("nan"), error="empty file"),
    ]
    assert [r.path for r in most_wrong_first(rows, THRESHOLDS)] == [
        "unreadable",
        "worse missed",
        "missed",
        "worse false alarm",
        "false alarm",
        "good to review",
        "defect to review",
        "just passed",
        "just caught",
        "passed",
        "caught",
        "outside",
    ]


def test_unreadable_images_are_not_counted() -> None:
    rows = [row("a", "good", 0.1), row("b", "good", 0.5), row("c", "good", 0.9, error="x")]
    count = tally(rows)
    assert (count.total, count.passed, count.review, count.rejected) == (2, 1, 1, 0)
    assert outcome_of(rows[2]) == "unreadable"


def test_defects_outside_the_region_are_not_judged() -> None:
    rows = [row("a", "good", 0.1), row("b", "defective", 0.1, outside=True)]
    assert outcome_of(rows[1]) == "outside the region"
    assert (judged(rows, "good"), judged(rows, "defective")) == (rows[:1], [])
    assert (of_label(rows, "good"), of_label(rows, "defective")) == (rows, [])


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3, 90), (0.0301, 0.0309), (0, 1e6)])
def test_linear_ticks_are_few_even_and_inside(low: float, high: float) -> None:
    ticks = linear_ticks(low, high)
    assert 3 <= len(ticks) <= 9
    assert low - 1e-9 <= ticks[0] < ticks[-1] <= high + 1e-9
    assert np.allclose(np.diff(ticks), ticks[1] - ticks[0])


def test_log_ticks() -> None:
    assert log_ticks(0.5, 30) == [0.5, 1, 2, 5, 10, 20]
    assert log_ticks(1e-4, 1.0) == pytest.approx([1e-4, 1e-3, 1e-2, 1e-1, 1])
    assert 2 <= len(log_ticks(1e-30, 1.0)) <= 8


def test_scale_of_equal_values_and_clipping() -> None:
    assert scale_over([2.0, 2.0], 0, 100)(2.0) == 50
    assert Scale(0, 1, 0, 100)(7) == 100
    assert Scale(0.01, 1, 0, 100, log=True)(0.1) == 50
    assert Scale(0.01, 1, 0, 100, log=True)(0.0) == 0


def test_score_axis_is_logarithmic_only_where_it_can_and_pays() -> None:
    assert score_scale([0.0, 0.001, 0.5], []).log
    assert not score_scale([0.2, 0.9], []).log
    assert not score_scale([-1.0, 0.001, 900.0], []).log


def test_histogram_shows_every_image_once() -> None:
    drawn = score_histogram([0.1, 0.1001, 0.5], [0.9], {"review": 0.4, "reject": 0.6})
    assert drawn.count('class="bar good"') == 2
    assert "<title>2 good</title>" in drawn
    assert drawn.count('class="bar defective"') == 1
    assert ">review<" in drawn
    assert ">reject<" in drawn


def test_thinning_keeps_ends_and_shape() -> None:
    x = np.linspace(0, 1, 5000)
    y = np.where(x < 0.001, 0.0, 1.0)  # a steep start, all of it within five points
    thin_x, thin_y = chart_points(x, y)
    assert len(thin_x) <= 240
    assert (thin_x[0], thin_x[-1]) == (0, 1)
    assert thin_y[0] == 0
    assert np.interp(0.01, thin_x, thin_y) == pytest.approx(1.0)
    assert len(chart_points(np.array([0, np.nan, 1.0]), np.zeros(3))[0]) == 2


def test_text_of_a_drawing_is_escaped_and_printable() -> None:
    drawn = svg('a<"\x00', text(0, 0, "<b>\x07\ud800", "x"))
    assert "<title>a&lt;&#34;\ufffd</title>" in drawn
    assert ">&lt;b&gt;\ufffd\ud800</text>" in drawn


def test_a_single_value_of_a_loss_is_a_dot() -> None:
    drawn = loss_chart("Loss", np.array([30.0]), np.array([0.5]))
    assert drawn.count('<circle cx="') == 2, "the value and its running median"
    assert "polyline" not in drawn


def test_running_median_drops_spikes_and_keeps_ends() -> None:
    losses = np.array([9.0, 5, 4, 3, 80, 3, 2, 2, 2, 1, 0.5])
    smooth = _running_median(losses)
    assert (smooth[0], smooth[-1]) == (9.0, 0.5)
    assert smooth.max() == 9.0
    assert smooth[4] == 3.0
