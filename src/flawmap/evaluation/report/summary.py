"""The top of the page: warnings, verdicts on the parts, and the metrics."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

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

# key, name, what it means. Every metric lies in 0..1 and higher is better.
FIGURES: dict[str, tuple[tuple[str, str, str], ...]] = {
    "Telling defective images from good ones": (
        (
            "image_auroc",
            "Image AUROC",
            "How often a defective image scores above a good one, over all such pairs. "
            "0.5 is guessing, 1 is perfect.",
        ),
        (
            "image_ap",
            "Image AP",
            "How pure a list of images, worst score first, stays as it is read down. "
            "Guessing gives the share of defective images{share}; 1 is perfect.",
        ),
        (
            "image_f1max",
            "Image F1-max",
            "The best balance of caught defects and false alarms that any one threshold could have "
            "given on these very images. 0 to 1.",
        ),
    ),
    "Marking the right pixels": (
        (
            "pixel_auroc",
            "Pixel AUROC",
            "How often a defective pixel scores above a good one. 0.5 is guessing, 1 is perfect; "
            "high values come easily, since most pixels are plain background.",
        ),
        (
            "pixel_ap",
            "Pixel AP",
            "How pure the marked area stays as more of the defects is marked. "
            "Guessing gives the share of defective pixels, usually below 0.05; 1 is perfect.",
        ),
        (
            "pixel_f1max",
            "Pixel F1-max",
            "The best overlap of marked and true area (Dice) that any one threshold could have "
            "given on these very images. 0 to 1.",
        ),
    ),
    "Finding every defect, small ones too": (
        (
            "pro",
            "PRO",
            "Mean covered share of each defect, small and large counting alike, while at most "
            "30\u00a0% of the good area is marked. 0 to 1.",
        ),
        (
            "iap",
            "IAP",
            "How pure the marked area is, averaged over the shares of defects found; a defect is "
            "found when more than half of it is marked. 0 to 1.",
        ),
        (
            "iap90",
            "IAP@90",
            "How pure the marked area is once the threshold is low enough to find 90\u00a0% of all "
            "defects. 0 to 1.",
        ),
    ),
}


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
    set_thresholds = len(of_label(data.rows, "good")) - len(good)
    return _good(tally(good), set_thresholds), _defective(tally(defective))


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


def _defective(count: Tally) -> Verdicts:
    name = "Defective parts"
    if not count.total:
        return Verdicts(
            name,
            ABSENT,
            "There were no defective images in this data, so nothing says how many are caught.",
        )
    return Verdicts(
        name,
        _lead(count.caught, count.total, "caught"),
        f"Caught means rejected or sent to review; {percent(count.passed, count.total)} were "
        "missed. With this many images, the true recall may be anywhere in "
        f"{interval_text(count.caught, count.total)} (95\u00a0% interval).",
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
        group: [
            _card(data, key, name, fraction, meaning.replace("{share}", share))
            for key, name, meaning in items
        ]
        for group, items in FIGURES.items()
    }


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
    value = data.figures.get(key)
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
