"""What ``evaluate`` prints: every metric with its meaning, and the verdict counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from flawmap.cli.console.streams import console, errors
from flawmap.data.samples import plural
from flawmap.evaluation.report.outcome import judged, tally

if TYPE_CHECKING:
    from flawmap.evaluation.report.data import ImageRow
    from flawmap.evaluation.result import Evaluation


def show_evaluation(evaluation: Evaluation) -> None:
    """Print every metric with its meaning."""
    from flawmap.evaluation.metrics.catalogue import METRICS

    values = evaluation.to_dict()
    table = Table("metric", "value", "what it says", box=None, pad_edge=False)
    for name, metric in METRICS.items():
        value = values[name]
        why = metric.meaning + ("" if metric.higher_is_better else "; lower is better")
        if value is None:
            why = f"undefined: {values['notes'].get(name, '')}"
        table.add_row(name, "–" if value is None else f"{value:.4f}", why)
    console.print(evaluation.dataset.describe())
    console.print(table, soft_wrap=False)
    if evaluation.distances:
        console.print(f"Not the inspector's map, but the {values['notes']['read_out']}.")
    for label in ("good", "defective") if evaluation.rows else ():
        console.print(_verdict_counts(judged(evaluation.rows, label), label))
    console.print(
        f"{plural(values['images'], 'image(s)')}, "
        f"{plural(values['instances'], 'defect(s)')} in the ground truth, {values['seconds']:.1f} s"
    )
    for warning in evaluation.warnings:
        errors.print(f"Note: {warning}")


def _verdict_counts(rows: Sequence[ImageRow], label: str) -> str:
    """Verdict counts of the good, or of the defective, images."""
    count = tally(rows)
    return (
        f"{count.total} {label}: {count.passed} passed as good, {count.review} to review, "
        f"{count.rejected} rejected"
        if count.total
        else f"no {label} images to judge"
    )
