"""Distribution of the scores: histogram, thresholds, ROC and PR curves, recall by defect type."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from markupsafe import Markup

from flawmap.evaluation.report.charts import curve_chart, score_histogram
from flawmap.evaluation.report.data import ImageRow, ReportData
from flawmap.evaluation.report.numbers import fraction, interval_text, percent, short
from flawmap.evaluation.report.outcome import judged, of_label, tally
from flawmap.inspection.conformal import share_interval

_MEANINGS = {
    "review": "Parts that score above it go to a person.",
    "reject": "Parts that score above it are rejected.",
    "pixel": "Pixels of the anomaly map above it are marked as defect.",
}


@dataclass(frozen=True)
class Threshold:
    """A threshold's name, its value in words, and what it decides."""

    name: str
    value: str
    meaning: str


@dataclass(frozen=True)
class ImageScores:
    """Histogram of the image scores, and the thresholds beside it."""

    histogram: Markup
    thresholds: list[Threshold]


def image_scores(data: ReportData) -> ImageScores:
    """Draw the scores and list the thresholds."""
    good = [row.score for row in of_label(data.rows, "good")]
    defective = [row.score for row in of_label(data.rows, "defective")]
    marks = {n: data.thresholds[n] for n in ("review", "reject") if n in data.thresholds}
    thresholds = [Threshold(n, short(v), _meaning(n, marks)) for n, v in data.thresholds.items()]
    return ImageScores(score_histogram(good, defective, marks), thresholds)


def _meaning(name: str, marks: dict[str, float]) -> str:
    if name == "review" and marks["review"] == marks.get("reject"):
        return "Equal to the reject threshold: no part goes to review."
    return _MEANINGS.get(name, "")


@dataclass(frozen=True)
class CurveKey:
    """Entry of a chart's key: the level, which is also the line's style, and the area below."""

    level: str
    area: str


@dataclass(frozen=True)
class Chart:
    """A drawing with its title, its key and a caption."""

    title: str
    drawing: Markup
    keys: list[CurveKey]
    caption: str


def curves(data: ReportData) -> list[Chart]:
    """Draw the ROC and the PR chart, image and pixel level together; none without a curve."""
    charts = (_roc(data), _pr(data))
    return [chart for chart in charts if chart is not None]


def _roc(data: ReportData) -> Chart | None:
    caption = "The further to the upper left, the better. Dotted: guessing."
    return _chart(data, "roc", "ROC", ("false-alarm rate", "recall"), "AUROC", caption)


def _pr(data: ReportData) -> Chart | None:
    caption = "The further to the upper right, the better."
    return _chart(data, "pr", "Precision and recall", ("recall", "precision"), "AP", caption)


def _chart(
    data: ReportData, kind: str, title: str, labels: tuple[str, str], area: str, caption: str
) -> Chart | None:
    names = {level: f"{level}_{kind}" for level in ("image", "pixel")}
    shown = {level: data.curves[name] for level, name in names.items() if name in data.curves}
    if not shown:
        return None
    drawing = curve_chart(title, *labels, shown, diagonal=kind == "roc")
    values = {level: fraction(data.metrics.get(f"{level}_{area.lower()}")) for level in shown}
    keys = [CurveKey(level, f"{area} {value}") for level, value in values.items()]
    return Chart(title, drawing, keys, caption)


@dataclass(frozen=True)
class TypeRow:
    """One row of the table of defect types.

    ``low``, ``high`` and ``recall`` lie in 0..1: the interval and the measured recall.
    """

    name: str
    total: int
    rejected: int
    review: int
    missed: int
    recall_text: str
    low: float
    high: float
    recall: float
    interval_text: str
    median: str
    is_sum: bool = False


def defect_types(data: ReportData) -> list[TypeRow]:
    """Return one row per defect type, and one for all if there are several types."""
    defective = judged(data.rows, "defective")
    names = sorted({_type_name(row) for row in defective})
    rows = [_type_row(n, [r for r in defective if _type_name(r) == n]) for n in names]
    if len(names) > 1:
        rows.append(_type_row("all", defective, is_sum=True))
    return rows


def _type_name(row: ImageRow) -> str:
    return row.defect_type or "defective"


def _type_row(name: str, rows: Sequence[ImageRow], is_sum: bool = False) -> TypeRow:
    count = tally(rows)
    low, high = share_interval(count.caught, count.total)
    return TypeRow(
        name=name,
        total=count.total,
        rejected=count.rejected,
        review=count.review,
        missed=count.passed,
        recall_text=percent(count.caught, count.total),
        low=low,
        high=high,
        recall=count.caught / count.total,
        interval_text=interval_text(count.caught, count.total),
        median=short(median(row.score for row in rows)),
        is_sum=is_sum,
    )
