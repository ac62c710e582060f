"""The full table: every image with its score, p-value and verdict, most wrong first."""

from __future__ import annotations

from flawmap.evaluation.report.data import ImageRow, ReportData
from flawmap.evaluation.report.gallery import verdict_badge
from flawmap.evaluation.report.markup import Html, file_name, tag
from flawmap.evaluation.report.numbers import ABSENT, plural
from flawmap.evaluation.report.outcome import GRADE, most_wrong_first, outcome_of

_HEADS = ("File", "Label", "Defect type", "Score", "p-value", "Verdict", "Outcome")
_NUMERIC = frozenset({"Score", "p-value"})


def all_images(data: ReportData) -> Html:
    """Every row in a table that folds away."""
    rows = most_wrong_first(data.rows, data.thresholds)
    summary = tag("summary", f"All {plural(len(rows), 'image')}, most wrong first")
    names = [tag("th", name, scope="col", class_=_align(name)) for name in _HEADS]
    table = tag(
        "table",
        tag("thead", tag("tr", *names)),
        tag("tbody", *(_row(row) for row in rows)),
        class_="sortable",
    )
    title = tag("h2", "Every image")
    body = tag("details", summary, tag("div", table, class_="scroll"))
    return tag("section", title, body, id="images")


def _row(row: ImageRow) -> Html:
    outcome = outcome_of(row)
    first = [tag("td", file_name(row.path)), tag("td", row.label), tag("td", row.defect_type or "")]
    last = tag("td", tag("span", row.error or outcome, class_=f"phrase {GRADE[outcome]}"))
    return tag("tr", *first, *_measured(row), last)


def _measured(row: ImageRow) -> list[Html]:
    if row.error:
        return [tag("td", ABSENT, class_="n"), tag("td", ABSENT, class_="n"), tag("td", ABSENT)]
    return [_number(row.score, 4), _number(row.p_value, 3), tag("td", verdict_badge(row.verdict))]


def _number(value: float, digits: int) -> Html:
    """Always as many digits, so that a column lines up; the exact value is what it is sorted by."""
    return tag("td", f"{value:#.{digits}g}", class_="n", data_value=f"{value:.9g}")


def _align(name: str) -> str | None:
    return "n" if name in _NUMERIC else None
