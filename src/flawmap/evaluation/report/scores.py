"""How the scores lie: histogram with thresholds, ROC and PR curves, recall by defect type."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from flawmap.evaluation.report.charts import curve_chart, score_histogram
from flawmap.evaluation.report.data import ImageRow, ReportData
from flawmap.evaluation.report.markup import Html, join, tag
from flawmap.evaluation.report.numbers import figure, interval_text, percent, short
from flawmap.evaluation.report.outcome import judged, of_label, tally
from flawmap.inspection.conformal import share_interval


def scores(data: ReportData) -> Html:
    """Histogram of the image scores beside the thresholds and what they promise."""
    good = [row.score for row in of_label(data.rows, "good")]
    defective = [row.score for row in of_label(data.rows, "defective")]
    marks = {
        name: data.thresholds[name] for name in ("review", "reject") if name in data.thresholds
    }
    body = tag("div", score_histogram(good, defective, marks), _thresholds(data), class_="two")
    return tag("section", tag("h2", "Image scores and thresholds"), body, id="scores")


def curves(data: ReportData) -> Html:
    """ROC and PR, image and pixel level together; nothing where no curve is defined."""
    charts = [_roc(data), _pr(data)]
    if not any(charts):
        return Html("")
    title = tag("h2", "Trading missed defects for false alarms")
    return tag("section", title, tag("div", *charts, class_="two"), id="curves")


def defect_types(data: ReportData) -> Html:
    """One row a defect type: number, caught, recall with its interval, median score."""
    defective = judged(data.rows, "defective")
    title = tag("h2", "Defect types")
    if not defective:
        message = tag("p", "There were no defective images in this data.", class_="quiet")
        return tag("section", title, message, id="types")
    names = sorted({_type_name(row) for row in defective})
    rows = [_type_row(n, [r for r in defective if _type_name(r) == n]) for n in names]
    if len(names) > 1:
        rows.append(_type_row("all", defective, class_="total"))
    return tag("section", title, _type_table(rows), _interval_note(), id="types")


def _thresholds(data: ReportData) -> Html:
    meanings = {
        "review": "Above it, a part goes to a person.",
        "reject": "Above it, a part is rejected.",
        "pixel": "On the anomaly map: pixels above it are marked as defect.",
    }
    entries = [
        join(
            [
                tag("dt", f"{name} threshold"),
                tag("dd", tag("b", short(value)), f" {meanings.get(name, '')}"),
            ]
        )
        for name, value in data.thresholds.items()
    ]
    words = tag("p", data.guarantee, class_="guarantee")
    return tag("div", tag("dl", *entries, class_="thresholds"), words, class_="beside")


def _roc(data: ReportData) -> Html:
    caption = "The further to the upper left, the better. Dotted: guessing."
    return _chart(data, "roc", "ROC", "false-alarm rate", "recall", "auroc", "AUROC", caption)


def _pr(data: ReportData) -> Html:
    caption = "The further to the upper right, the better."
    return _chart(data, "pr", "Precision and recall", "recall", "precision", "ap", "AP", caption)


def _chart(
    data: ReportData,
    kind: str,
    title: str,
    x_label: str,
    y_label: str,
    area_key: str,
    area_name: str,
    caption: str,
) -> Html:
    found = {
        lv: data.curves[f"{lv}_{kind}"]
        for lv in ("image", "pixel")
        if f"{lv}_{kind}" in data.curves
    }
    if not found:
        return Html("")
    drawing = curve_chart(title, x_label, y_label, found, diagonal=kind == "roc")
    keys = [_curve_key(data, level, area_key, area_name) for level in found]
    words = tag(
        "figcaption", tag("div", *keys, class_="keys"), tag("span", caption, class_="quiet")
    )
    return tag("figure", tag("h3", title), drawing, words)


def _curve_key(data: ReportData, level: str, key: str, name: str) -> Html:
    area = figure(data.figures.get(f"{level}_{key}"))
    return tag(
        "span", tag("i", class_=f"stroke {level}"), f"{level} level, {name} {area}", class_="key"
    )


def _type_name(row: ImageRow) -> str:
    return row.defect_type or "defective"


def _type_table(rows: Sequence[Html]) -> Html:
    heads = (
        "Defect type",
        "Images",
        "Rejected",
        "To review",
        "Missed",
        "Recall",
        "95\u00a0% interval",
        "Median score",
    )
    names = [
        tag("th", head, scope="col", class_="n" if i else None) for i, head in enumerate(heads)
    ]
    table = tag("table", tag("thead", tag("tr", *names)), tag("tbody", *rows))
    return tag("div", table, class_="scroll")


def _type_row(name: str, rows: Sequence[ImageRow], class_: str | None = None) -> Html:
    count = tally(rows)
    low, high = share_interval(count.caught, count.total)
    cells = (
        str(count.total),
        str(count.rejected),
        str(count.review),
        str(count.passed),
        percent(count.caught, count.total),
        join(
            [
                _interval_bar(low, high, count.caught / count.total),
                tag("span", interval_text(count.caught, count.total), class_="interval-text"),
            ]
        ),
        short(median(row.score for row in rows)),
    )
    return tag(
        "tr",
        tag("th", name, scope="row"),
        *(tag("td", c, class_="n") for c in cells),
        class_=class_,
    )


def _interval_bar(low: float, high: float, at: float) -> Html:
    """The interval on a line from 0 to 1, with the measured recall as a dot."""
    left, width = round(100 * low, 1), round(100 * (high - low), 1)
    span = tag("rect", x=left, y=4, width=max(width, 1), height=4, rx=2, class_="interval")
    dot = tag("circle", cx=round(3 + 94 * at, 1), cy=6, r=3.4, class_="interval-dot")
    rail = tag("rect", x=0, y=5.5, width=100, height=1, class_="rail")
    return tag(
        "svg", rail, span, dot, viewBox="0 0 100 12", class_="interval-bar", aria_hidden="true"
    )


def _interval_note() -> Html:
    words = (
        "Recall is the share not passed as good: rejected or sent to review. The interval "
        "(Clopper-Pearson) says what recall so few images leave possible: the fewer, the wider."
    )
    return tag("p", words, class_="quiet")
