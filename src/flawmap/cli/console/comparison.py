"""What ``bench compare`` prints: both sides, their differences and the verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flawmap.cli.console.tables import print_table
from flawmap.cli.console.terminal import say
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
        say(
            f"{letter}: {side.way}; seeds {seeds}; commit {commits or 'unknown'}; "
            f"{printable(side.source)}"
        )
    heads = {metric.key: ["", *metric.head.split(" ", 1)][-2:] for metric in compared_metrics()}
    heads["milliseconds"] = ["", "ms"]
    table = [["", "", *(first for first, _ in heads.values())]]
    table.append(["product", "", *(last for _, last in heads.values())])
    for name, metrics in {**comparison.differences, "mean": comparison.mean}.items():
        for row, letter in _ROWS.items():
            cells = [_cell(metrics[key], row, key) for key in heads]
            table.append([name if row == "a" else "", letter, *cells])
    print_table(table, wrap=False, right=2)
    for note in comparison.notes:
        say(f"Note: {note}", err=True)
    for line in (comparison.compared(), *comparison.verdict.lines()):
        say(line)


def _cell(difference: Difference, row: str, metric: str) -> str:
    value: float | None = getattr(difference, row)
    if value is None:
        return "–"
    digits = 1 if metric == "milliseconds" else 3
    return f"{value:{'+' if row == 'difference' else ''}.{digits}f}"
