"""The report's charts: curves, a histogram of scores in two rows, losses over steps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from flawmap.evaluation.metrics.ranking import thin
from flawmap.evaluation.report.axes import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Scale,
    element,
    frame,
    plot_scales,
    scale_over,
    svg,
    text,
    vertical,
)
from flawmap.evaluation.report.data import Curve

BINS = 32
ROW_LABEL = 17  # room for the words above a row of the histogram
MOST_POINTS = 240  # per curve: finer than a pixel of the drawing
Values = NDArray[np.floating[Any]]


def curve_chart(
    title: str, x_label: str, y_label: str, curves: Mapping[str, Curve], diagonal: bool = False
) -> Markup:
    """Draw curves in the unit square; each key is the CSS class of its line (`image`, `pixel`)."""
    x = Scale(0, 1, LEFT, WIDTH - RIGHT)
    y = Scale(0, 1, HEIGHT - BOTTOM, TOP)
    lines = [
        _polyline(x, y, *chart_points(*curve), f"curve {name}") for name, curve in curves.items()
    ]
    if diagonal:
        ends = np.array([0.0, 1.0])
        lines.insert(0, _polyline(x, y, ends, ends, "chance"))
    return svg(title, frame(x, y, x_label, y_label), *lines)


def chart_points(x: Values, y: Values) -> Curve:
    """Return the finite points of a curve, thinned to the resolution of the drawing."""
    points = np.stack([x, y], axis=1)
    kept = thin(points[np.isfinite(points).all(axis=1)], MOST_POINTS)
    return kept[:, 0], kept[:, 1]


def score_histogram(
    good: Sequence[float], defective: Sequence[float], thresholds: Mapping[str, float]
) -> Markup:
    """Draw scores of good parts above, of defective parts below, and the thresholds."""
    marks = {name: at for name, at in thresholds.items() if math.isfinite(at)}
    x = score_scale([*good, *defective], list(marks.values()))
    y = _NoTicks(0, 1, HEIGHT - BOTTOM, TOP)
    rows = {name: v for name, v in (("good", good), ("defective", defective)) if len(v)}
    tops = np.linspace(y.end, y.start, len(rows) + 1).tolist()
    bars = [
        _histogram_row(x, values, name, base=tops[i + 1], top=tops[i] + ROW_LABEL)
        for i, (name, values) in enumerate(rows.items())
    ]
    labels = [
        _row_label(x, v, name, tops[i] + ROW_LABEL) for i, (name, v) in enumerate(rows.items())
    ]
    lines = [vertical(x, y, at, name) for name, at in marks.items()]
    axis = frame(x, y, "image score", "")
    names = _threshold_names(x, marks)
    return svg("Histogram of image scores", axis, *bars, *lines, *labels, names)


def score_scale(scores: Sequence[float], marks: Sequence[float]) -> Scale:
    """Return a scale, logarithmic if scores span more than a factor of 50 and none is negative.

    A score of zero then stands at the left edge, with the smallest score above zero. Without
    labels of a vertical axis the chart uses the whole width.
    """
    values = [*scores, *marks] or [0.0, 1.0]
    positive = [value for value in values if value > 0]
    if positive and min(values) >= 0 and max(positive) > 50 * min(positive):
        return scale_over(positive, RIGHT, WIDTH - RIGHT, log=True)
    return scale_over(values, RIGHT, WIDTH - RIGHT)


def loss_chart(title: str, steps: Values, losses: Values) -> Markup:
    """Draw losses over steps: logged values pale, a running median on top; a log axis if useful."""
    log = bool(losses.min() > 0 and losses.max() > 20 * losses.min())
    x, y = plot_scales(steps.tolist(), losses.tolist(), log_y=log)
    raw = _polyline(x, y, *every_nth(steps, losses), "raw")
    smooth = _polyline(x, y, *every_nth(steps, _running_median(losses)), "curve image")
    return svg(title, frame(x, y, "step", "loss (log)" if log else "loss"), raw, smooth)


def every_nth(x: Values, y: Values, most: int = 2 * MOST_POINTS) -> Curve:
    """Keep every n-th point, with the smallest n that leaves at most `most`."""
    stride = max(1, math.ceil(len(x) / most))
    return x[::stride], y[::stride]


class _NoTicks(Scale):
    def ticks(self) -> list[float]:
        return []


def _histogram_row(x: Scale, values: Sequence[float], name: str, base: float, top: float) -> str:
    counts, edges = _counted(x, values)
    bars = [
        _bar(float(edges[i]), float(edges[i + 1]), base, top, int(n), int(counts.max()), name)
        for i, n in enumerate(counts)
        if n
    ]
    height = round(base, 1)
    return "".join(bars) + element(
        "line", x1=x.start, x2=x.end, y1=height, y2=height, class_="axis"
    )


def _row_label(x: Scale, values: Sequence[float], name: str, top: float) -> str:
    label = f"{len(values):,} {name} (highest bar: {int(_counted(x, values)[0].max()):,})"
    return text(x.start + 2, top - 4, label, "row-label")


def _counted(x: Scale, values: Sequence[float]) -> tuple[NDArray[np.intp], Values]:
    """Count in bins of equal width in the drawing; return counts and edges in its pixels."""
    return np.histogram([x(value) for value in values], bins=BINS, range=(x.start, x.end))


def _bar(left: float, right: float, base: float, top: float, n: int, most: int, name: str) -> str:
    height = max(2.5, (base - top - 4) * n / most)  # a single image must stay visible
    return element(
        "rect",
        element("title", f"{n} {name}"),
        x=round(left + 0.5, 1),
        y=round(base - height, 1),
        width=round(right - left - 1, 1),
        height=round(height, 1),
        class_=f"bar {name}",
    )


def _threshold_names(x: Scale, marks: Mapping[str, float]) -> str:
    """Write the names over the lines, each on the side away from the other."""
    review, reject = marks.get("review"), marks.get("reject")
    if review is not None and review == reject:
        return text(x(review), TOP - 6, "threshold", "mark-label", _anchor(x, review))
    names = []
    if review is not None:
        names.append(text(x(review) + 3, TOP - 6, "review", "mark-label review", "end"))
    if reject is not None:
        names.append(text(x(reject) - 3, TOP - 6, "reject", "mark-label reject", "start"))
    return "".join(names)


def _anchor(x: Scale, value: float) -> str:
    share = (x(value) - x.start) / (x.end - x.start)
    return "start" if share < 0.15 else "end" if share > 0.85 else "middle"


def _running_median(values: Values, width: int = 9) -> Values:
    """Return medians over a width that narrows towards the ends, where a loss is steepest."""
    listed, last = values.tolist(), len(values) - 1
    halves = [min(i, last - i, width // 2) for i in range(len(values))]
    return np.array([median(listed[i - h : i + h + 1]) for i, h in enumerate(halves)])


def _polyline(x: Scale, y: Scale, xs: Values, ys: Values, class_: str) -> str:
    points = [f"{x(float(a)):g},{y(float(b)):g}" for a, b in zip(xs, ys, strict=True)]
    if len(points) == 1:
        return element("circle", cx=x(float(xs[0])), cy=y(float(ys[0])), r=3.5, class_="point")
    return element("polyline", points=" ".join(points), class_=class_)
