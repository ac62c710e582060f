"""The table of all images with score, p-value and verdict, most wrong first."""

from __future__ import annotations

from dataclasses import dataclass

from flawmap.evaluation.report.data import ImageRow, ReportData
from flawmap.evaluation.report.outcome import (
    GRADE,
    Grade,
    Outcome,
    most_wrong_first,
    outcome_of,
)


@dataclass(frozen=True)
class Line:
    """An image with its outcome and the outcome's grade."""

    row: ImageRow
    outcome: Outcome
    grade: Grade


def all_images(data: ReportData) -> list[Line]:
    """Return all images, most wrong first."""
    return [_line(row) for row in most_wrong_first(data.rows, data.thresholds)]


def _line(row: ImageRow) -> Line:
    outcome = outcome_of(row)
    return Line(row, outcome, GRADE[outcome])
