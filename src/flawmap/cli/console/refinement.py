"""What ``refine`` prints: the run beside its parent."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from flawmap.cli.console.tables import print_table
from flawmap.cli.console.terminal import say

if TYPE_CHECKING:
    from flawmap.training.refining.compare import Comparison


def show_refinement(comparison: Comparison | None, data: Path) -> None:
    """Print metrics and verdicts of both runs, or why there are none."""
    if comparison is None:
        say(
            f"Not compared with its parent: {data} has no good and defective images that neither "
            "run has learned from. Give --test DIR.",
            err=True,
        )
        return
    from flawmap.training.refining.compare import METRICS

    before, after = (one.metrics for one in (comparison.parent, comparison.refined))
    say(f"Compared on {before.images} images of {data} that neither run has learned from:")
    table = [["", "parent", "refined", "change"]]
    for name in METRICS:
        one, two = before[name], after[name]
        if one is not None and two is not None:
            table.append([name, f"{one:.3f}", f"{two:.3f}", f"{two - one:+.3f}"])
    for label, what, count in (
        ("good", "good parts rejected", "rejected"),
        ("defective", "defects passed as good", "passed"),
    ):
        first, second = comparison.verdicts(label)
        if first.total:
            a, b = (getattr(one, count) for one in (first, second))
            table.append([f"{what}, of {first.total}", str(a), str(b), f"{b - a:+d}"])
    print_table(table, wrap=False, right=1)
