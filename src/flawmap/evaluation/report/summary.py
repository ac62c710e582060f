"""The top of the page: warnings, what happened to the parts, and the key figures."""

from __future__ import annotations

from collections.abc import Sequence

from flawmap.evaluation.metrics.catalogue import LEVELS, METRICS, Level, Metric
from flawmap.evaluation.report.data import ImageRow, ReportData
from flawmap.evaluation.report.markup import Html, join, tag
from flawmap.evaluation.report.numbers import (
    ABSENT,
    duration,
    figure,
    interval_text,
    percent,
    plural,
)
from flawmap.evaluation.report.outcome import Tally, judged, of_label, tally


def warnings(data: ReportData) -> Html:
    """What a reader must know before the figures; nothing where there is nothing."""
    lost = sum(1 for row in data.rows if row.error)
    messages = list(data.warnings)
    if lost:
        where = "see the table of all images"
        messages.append(
            f"{plural(lost, 'image')} could not be inspected and counts nowhere; {where}."
        )
    if not messages:
        return Html("")
    items = join(tag("li", message) for message in messages)
    return tag("aside", tag("strong", "Please note"), tag("ul", items), class_="warnings")


def headline(data: ReportData) -> Html:
    """Counts of good and of defective parts by verdict, in words and as bars."""
    good, defective = judged(data.rows, "good"), judged(data.rows, "defective")
    set_thresholds = len(of_label(data.rows, "good")) - len(good)
    blocks = [_good_block(tally(good), set_thresholds), _defective_block(tally(defective))]
    return tag("section", tag("div", *blocks, class_="verdicts"), class_="headline", id="verdict")


def cards(data: ReportData) -> Html:
    """Every metric with its meaning and range; a dash and the reason where undefined."""
    groups = [
        join([tag("h3", title), tag("div", *_cards(data, level), class_="cards")])
        for level, title in LEVELS.items()
    ]
    note = data.notes.get("calibration_images")
    words = tag("p", f"{note[:1].upper()}{note[1:]}.", class_="quiet") if note else Html("")
    return tag("section", tag("h2", "Key metrics"), words, *groups, _facts(data), id="figures")


def _good_block(count: Tally, set_thresholds: int) -> Html:
    if not count.total and set_thresholds:
        message = (
            f"All {plural(set_thresholds, 'good image')} in this data set the thresholds, so their "
            "verdicts say nothing about other parts: no false-reject rate is given."
        )
        return _block("Good parts", ABSENT, message)
    if not count.total:
        return _block("Good parts", ABSENT, "There were no good images in this data.")
    lead = f"{count.passed:,} of {count.total:,} passed"
    share = percent(count.passed, count.total)
    interval = interval_text(count.rejected, count.total)
    rest = (
        f"{percent(count.rejected, count.total)} of the good parts were rejected. With this many "
        f"images the true rate may be anywhere in {interval} (95\u00a0% interval)."
    )
    if set_thresholds:
        rest += f" Not counted: {plural(set_thresholds, 'good image')} that set the thresholds."
    bar = _bar(
        [("right", "passed", count.passed), *_doubt(count), ("wrong", "rejected", count.rejected)]
    )
    return _block("Good parts", f"{lead} ({share})", rest, bar)


def _defective_block(count: Tally) -> Html:
    if not count.total:
        message = (
            "There were no defective images in this data, so nothing says how many are caught."
        )
        return _block("Defective parts", ABSENT, message)
    lead = f"{count.caught:,} of {count.total:,} caught"
    share = percent(count.caught, count.total)
    interval = interval_text(count.caught, count.total)
    rest = (
        f"Caught means rejected or sent to review; {percent(count.passed, count.total)} were "
        f"missed. With this many images the true recall may be anywhere in {interval} "
        f"(95\u00a0% interval)."
    )
    bar = _bar(
        [("right", "rejected", count.rejected), *_doubt(count), ("wrong", "missed", count.passed)]
    )
    return _block("Defective parts", f"{lead} ({share})", rest, bar)


def _doubt(count: Tally) -> list[tuple[str, str, int]]:
    return [("doubt", "to review", count.review)]


def _block(name: str, lead: str, rest: str, bar: Html | None = None) -> Html:
    parts = [tag("h2", name), tag("p", lead, class_="lead"), bar or "", tag("p", rest)]
    return tag("div", *parts, class_="verdict-block")


def _bar(shares: Sequence[tuple[str, str, int]]) -> Html:
    """A bar in parts, with its counts in words below."""
    fills = [
        tag("span", class_=f"fill {grade}", style=f"flex:{n} 0 0", title=f"{name}: {n}")
        for grade, name, n in shares
        if n
    ]
    words = [
        tag("span", tag("i", class_=f"dot {grade}"), f"{n:,} {name}", class_="key")
        for grade, name, n in shares
    ]
    return join([tag("div", *fills, class_="bar-row"), tag("div", *words, class_="keys")])


def _cards(data: ReportData, level: Level) -> list[Html]:
    return [_card(data, metric) for metric in METRICS.values() if metric.level == level]


def _card(data: ReportData, metric: Metric) -> Html:
    key = metric.key
    shown = figure(data.figures.get(key))
    parts = [tag("div", metric.title, class_="card-name"), tag("div", shown, class_="card-value")]
    if shown == ABSENT:
        parts.append(
            tag("p", "Not available: ", data.notes.get(key, "not measured"), class_="reason")
        )
    meaning = (metric.explanation or metric.meaning).replace("{share}", _defective_share(data.rows))
    return tag("div", *parts, tag("p", meaning), class_="card", data_figure=key)


def _defective_share(rows: Sequence[ImageRow]) -> str:
    defective, total = len(of_label(rows, "defective")), tally(rows).total
    return f", here {defective / total:.2f}" if defective else ""


def _facts(data: ReportData) -> Html:
    facts = [_fact(data, "images"), _fact(data, "instances"), _fact(data, "seconds")]
    return tag("dl", *facts, class_="facts")


_FACT_NAMES = {
    "images": "Images evaluated",
    "instances": "Single defects marked in the ground truth",
    "seconds": "Time for the evaluation",
}


def _fact(data: ReportData, key: str) -> Html:
    value = data.figures.get(key)
    if value is None or figure(value) == ABSENT:
        shown = f"{ABSENT} ({data.notes.get(key, 'not measured')})"
    else:
        shown = duration(value) if key == "seconds" else f"{value:,.0f}"
    name, content = tag("dt", _FACT_NAMES[key]), tag("dd", shown)
    return tag("div", name, content, data_figure=key)
