"""Outcomes of verdicts (caught, missed, false alarm, ...) and the order to show them in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from flawmap.evaluation.report.data import ImageRow

Outcome = Literal[
    "unreadable",
    "missed",
    "false alarm",
    "good to review",
    "defect to review",
    "caught",
    "passed",
    "set the thresholds",
    "outside the region",
]
Grade = Literal["right", "doubt", "wrong", "quiet"]

# In order of how wrong they are; the two right ones are of one rank.
_RANK: dict[Outcome, int] = {
    "unreadable": 0,
    "missed": 1,
    "false alarm": 2,
    "good to review": 3,
    "defect to review": 4,
    "caught": 5,
    "passed": 5,
    "set the thresholds": 6,
    "outside the region": 6,
}
_OUTCOME: dict[tuple[str, str], Outcome] = {
    ("defective", "good"): "missed",
    ("defective", "review"): "defect to review",
    ("defective", "reject"): "caught",
    ("good", "good"): "passed",
    ("good", "review"): "good to review",
    ("good", "reject"): "false alarm",
}
PHRASE: dict[Outcome, str] = {
    "unreadable": "not inspected",
    "missed": "missed: a defective part below the threshold",
    "false alarm": "false alarm: a good part above the reject threshold",
    "good to review": "good part sent to review: between the two thresholds",
    "defect to review": "defective part sent to review: between the two thresholds",
    "caught": "caught: a defective part above the reject threshold",
    "passed": "passed: a good part below the threshold",
    "set the thresholds": "set the thresholds: its verdict counts in no rate",
    "outside the region": "no defect within the region of interest: its verdict counts in no rate",
}
GRADE: dict[Outcome, Grade] = {
    "unreadable": "doubt",
    "missed": "wrong",
    "false alarm": "wrong",
    "good to review": "doubt",
    "defect to review": "doubt",
    "caught": "right",
    "passed": "right",
    "set the thresholds": "quiet",
    "outside the region": "quiet",
}


def outcome_of(row: ImageRow) -> Outcome:
    """Return the outcome of one image's verdict."""
    if row.error:
        return "unreadable"
    if row.outside:
        return "outside the region"
    return "set the thresholds" if row.calibrated else _OUTCOME[row.label, row.verdict]


def most_wrong_first(rows: Iterable[ImageRow], thresholds: Mapping[str, float]) -> list[ImageRow]:
    """Sort images: unreadable, missed, false alarms, reviews, then right ones by distance.

    Right verdicts nearest to the threshold come first; images that are not judged come last.

    Within a kind, the worst score comes first: lowest of the defective, highest of the good.
    `thresholds` needs `review` and `reject`.
    """

    def key(row: ImageRow) -> tuple[int, float, str]:
        outcome = outcome_of(row)
        if outcome == "unreadable":
            return _RANK[outcome], 0.0, row.path
        if row.counts_as == "defective":
            return _RANK[outcome], row.score - thresholds["reject"], row.path
        return _RANK[outcome], thresholds["review"] - row.score, row.path

    return sorted(rows, key=key)


@dataclass(frozen=True)
class Tally:
    """Numbers of images by verdict; unreadable images are not counted."""

    total: int
    passed: int
    review: int
    rejected: int

    @property
    def caught(self) -> int:
        """Number not passed as good: rejected, or sent to a person."""
        return self.review + self.rejected


def tally(rows: Sequence[ImageRow]) -> Tally:
    """Count the verdicts of the readable rows."""
    verdicts = [row.verdict for row in rows if not row.error]
    return Tally(
        total=len(verdicts),
        passed=verdicts.count("good"),
        review=verdicts.count("review"),
        rejected=verdicts.count("reject"),
    )


def of_label(rows: Sequence[ImageRow], label: str) -> list[ImageRow]:
    """Return the readable rows that the metrics count under this label."""
    return [row for row in rows if row.counts_as == label and not row.error]


def judged(rows: Sequence[ImageRow], label: str) -> list[ImageRow]:
    """Return the readable rows with this label whose verdicts count in rates."""
    return [row for row in of_label(rows, label) if not (row.calibrated or row.outside)]
