"""The top of the page: warnings, what happened to the parts, and the key figures."""

from __future__ import annotations

from collections.abc import Sequence

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

# key, name, what it means. Every figure lies in 0..1 and higher is better.
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
    "Finding every single defect, small ones too": (
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
    """Every figure with its meaning and range; a dash and the reason where undefined."""
    groups = [
        join([tag("h3", name), tag("div", *(_card(data, *item) for item in items), class_="cards")])
        for name, items in FIGURES.items()
    ]
    note = data.notes.get("calibration_images")
    words = tag("p", f"{note[:1].upper()}{note[1:]}.", class_="quiet") if note else Html("")
    return tag("section", tag("h2", "Key figures"), words, *groups, _facts(data), id="figures")


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


def _card(data: ReportData, key: str, name: str, meaning: str) -> Html:
    value = data.figures.get(key)
    shown = figure(value)
    parts = [tag("div", name, class_="card-name"), tag("div", shown, class_="card-value")]
    if shown == ABSENT:
        parts.append(
            tag("p", "Not available: ", data.notes.get(key, "not measured"), class_="reason")
        )
    meaning = meaning.replace("{share}", _defective_share(data.rows))
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
