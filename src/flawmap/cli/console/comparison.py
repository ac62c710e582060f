"""What ``bench compare`` prints: both sides, their differences and the verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from flawmap.cli.console.streams import console, errors
from flawmap.utils.printable import printable

if TYPE_CHECKING:
    from flawmap.benchmark.comparison import Comparison
    from flawmap.benchmark.differences import Difference

_ROWS = {"a": "A", "b": "B", "difference": "B - A", "deviation": "±"}


def show_comparison(comparison: Comparison) -> None:
    """Print both sides, their difference by product and in the mean, and the verdict."""
    from flawmap.evaluation.metrics.catalogue import compared_metrics

    for letter, side in (("A", comparison.a), ("B", comparison.b)):
        values = side.to_dict()
        seeds, commits = (", ".join(map(str, values[key])) for key in ("seeds", "commits"))
        console.print(
            f"{letter}: {side.way}; seeds {seeds}; commit {commits or 'unknown'}; "
            f"{printable(side.source)}"
        )
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("product", no_wrap=True)
    table.add_column("", no_wrap=True)
    heads = {metric.key: metric.head.replace(" ", "\n", 1) for metric in compared_metrics()}
    heads["milliseconds"] = "ms"
    for head in heads.values():
        table.add_column(head, justify="right", no_wrap=True)
    for name, metrics in {**comparison.differences, "mean": comparison.mean}.items():
        for row, letter in _ROWS.items():
            cells = [_cell(metrics[key], row, key) for key in heads]
            table.add_row(name if row == "a" else "", letter, *cells)
    console.print(table, soft_wrap=False)
    for note in comparison.notes:
        errors.print(f"Note: {note}")
    for line in (comparison.compared(), *comparison.verdict.lines()):
        console.print(line)


def _cell(difference: Difference, row: str, metric: str) -> str:
    value: float | None = getattr(difference, row)
    if value is None:
        return "–"
    digits = 1 if metric == "milliseconds" else 3
    return f"{value:{'+' if row == 'difference' else ''}.{digits}f}"
