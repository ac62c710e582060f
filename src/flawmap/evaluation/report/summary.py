"""The top of the page: warnings, verdicts on the parts, and the metrics."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flawmap.evaluation.metrics.catalogue import LEVELS, METRICS, Metric
from flawmap.evaluation.report.data import ImageRow, ReportData
from flawmap.evaluation.report.numbers import (
    ABSENT,
    duration,
    fraction,
    interval_text,
    percent,
    plural,
)
from flawmap.evaluation.report.outcome import Grade, Tally, judged, of_label, tally


def warnings(data: ReportData) -> list[str]:
    """Return what a reader must know before the metrics."""
    lost = sum(1 for row in data.rows if row.error)
    messages = list(data.warnings)
    if lost:
        where = "see the table of all images"
        messages.append(
            f"{plural(lost, 'image')} could not be inspected and counts nowhere; {where}."
        )
    return messages


@dataclass(frozen=True)
class Share:
    """Part of a bar: its grade (a colour), its name, and the number of images."""

    grade: Grade
    name: str
    count: int


@dataclass(frozen=True)
class Verdicts:
    """Verdicts on the good or on the defective parts, in words and as shares of a bar."""

    name: str
    lead: str
    text: str
    shares: tuple[Share, ...] = ()


def verdicts(data: ReportData) -> tuple[Verdicts, Verdicts]:
    """Count good and defective parts by verdict."""
    good, defective = judged(data.rows, "good"), judged(data.rows, "defective")
    outside = sum(row.outside for row in data.rows)
    set_thresholds = len(of_label(data.rows, "good")) - len(good) - outside
    return _good(tally(good), set_thresholds), _defective(tally(defective), outside)


def _good(count: Tally, set_thresholds: int) -> Verdicts:
    name = "Good parts"
    if not count.total and set_thresholds:
        return Verdicts(
            name,
            ABSENT,
            f"All {plural(set_thresholds, 'good image')} in this data set the thresholds, so their "
            "verdicts say nothing about other parts: no false-reject rate is given.",
        )
    if not count.total:
        return Verdicts(name, ABSENT, "There were no good images in this data.")
    text = (
        f"{percent(count.rejected, count.total)} of the good parts were rejected. With this many "
        f"images, the true rate may be anywhere in {interval_text(count.rejected, count.total)} "
        "(95\u00a0% interval)."
    )
    if set_thresholds:
        text += f" Not counted: {plural(set_thresholds, 'good image')} that set the thresholds."
    return Verdicts(
        name,
        _lead(count.passed, count.total, "passed"),
        text,
        (
            Share("right", "passed", count.passed),
            Share("doubt", "to review", count.review),
            Share("wrong", "rejected", count.rejected),
        ),
    )


def _defective(count: Tally, outside: int) -> Verdicts:
    name = "Defective parts"
    if not count.total and outside:
        return Verdicts(
            name,
            ABSENT,
            "No defect in this data lies within the region of interest, so nothing says how many "
            "are caught.",
        )
    if not count.total:
        return Verdicts(
            name,
            ABSENT,
            "There were no defective images in this data, so nothing says how many are caught.",
        )
    text = (
        f"Caught means rejected or sent to review; {percent(count.passed, count.total)} were "
        "missed. With this many images, the true recall may be anywhere in "
        f"{interval_text(count.caught, count.total)} (95\u00a0% interval)."
    )
    if outside:
        which = plural(outside, "defective image")
        text += f" Not counted: {which} without a defect in the region of interest."
    return Verdicts(
        name,
        _lead(count.caught, count.total, "caught"),
        text,
        (
            Share("right", "rejected", count.rejected),
            Share("doubt", "to review", count.review),
            Share("wrong", "missed", count.passed),
        ),
    )


def _lead(count: int, of: int, what: str) -> str:
    return f"{count:,} of {of:,} {what} ({percent(count, of)})"


@dataclass(frozen=True)
class Card:
    """One metric or fact; ``reason`` says why the value is absent, None if it is there."""

    key: str
    name: str
    value: str
    reason: str | None
    meaning: str = ""


def metrics(data: ReportData) -> dict[str, list[Card]]:
    """Return the cards of all metrics by the name of their group."""
    share = _defective_share(data.rows)
    return {
        title: [_metric(data, one, share) for one in METRICS.values() if one.level == level]
        for level, title in LEVELS.items()
    }


def _metric(data: ReportData, metric: Metric, share: str) -> Card:
    meaning = (metric.explanation or metric.meaning).replace("{share}", share)
    return _card(data, metric.key, metric.title, fraction, meaning)


def calibration_note(data: ReportData) -> str | None:
    """Return the sentence on images that set the thresholds, if any did."""
    note = data.notes.get("calibration_images")
    return f"{note[:1].upper()}{note[1:]}." if note else None


def facts(data: ReportData) -> list[Card]:
    """Return the counts and the duration of the evaluation."""
    return [_card(data, key, name, show) for key, (name, show) in _FACTS.items()]


def _card(
    data: ReportData, key: str, name: str, show: Callable[[float], str], meaning: str = ""
) -> Card:
    value = data.metrics.get(key)
    if value is None or not math.isfinite(value):
        return Card(key, name, ABSENT, data.notes.get(key, "not measured"), meaning)
    return Card(key, name, show(value), None, meaning)


def _defective_share(rows: Sequence[ImageRow]) -> str:
    defective, total = len(of_label(rows, "defective")), tally(rows).total
    return f", here {defective / total:.2f}" if defective else ""


def _count(value: float) -> str:
    return f"{value:,.0f}"


_FACTS: dict[str, tuple[str, Callable[[float], str]]] = {
    "images": ("Images evaluated", _count),
    "instances": ("Defects marked in the ground truth", _count),
    "seconds": ("Duration of the evaluation", duration),
}
