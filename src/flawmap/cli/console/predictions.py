"""What ``predict`` and ``judge`` print: a line per image, and the verdict counts."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flawmap.cli.console.terminal import say, shows_colours
from flawmap.data.samples import plural
from flawmap.utils.printable import printable

if TYPE_CHECKING:
    from flawmap.inspection.record import InspectionRecord

_COLOURS = {"good": "green", "review": "yellow", "reject": "red"}


class PredictionDisplay:
    """Print a line per inspected image, and the verdict counts at the end."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._counts: dict[str, int] = {}

    def __call__(self, record: InspectionRecord, total: int) -> None:
        verdict = record.verdict or "error"
        self._counts[verdict] = self._counts.get(verdict, 0) + 1
        if record.error is not None:
            say(record.error, err=True)
        elif not self._quiet:
            defects = plural(len(record.defects or ()), "defect(s)")
            values = f"score {record.score:<9.4g}  p {record.p_value:.3f}  {defects:10}"
            say(f"{_coloured(verdict)} {values}  {printable(record.path or '')}")

    @property
    def count(self) -> int:
        """How many images were shown."""
        return sum(self._counts.values())

    @property
    def all_failed(self) -> bool:
        """Whether there were images, and none could be inspected."""
        return set(self._counts) == {"error"}

    def stopped(self, lines: Path | None, parquet: Path | None = None) -> None:
        """Print what was done before an early end, and where its records are."""
        count = self.count
        if count:
            self.close()
            if parquet is not None:
                say(f"Ended early: the same command continues what is in {parquet}.", err=True)
            if lines is not None and str(lines) != "-":
                if lines.is_file():  # it may hold one more line than was counted
                    with contextlib.suppress(OSError), lines.open("rb") as file:
                        count = sum(1 for _ in file)
                what = "1 line is" if count == 1 else f"{count} lines are"
                say(f"Ended early: {what} in {lines}, and none is cut off.", err=True)

    def close(self) -> None:
        """Print the number of images by verdict."""
        if not self._quiet:
            shown = {"good": "good", "review": "to review", "reject": "rejected"}
            sums = [f"{self._counts.get(name, 0)} {text}" for name, text in shown.items()]
            failed = self._counts.get("error", 0)
            sums += [f"{failed} not inspected"] if failed else []
            total = plural(self.count, "image(s)")
            say(f"{total}: {', '.join(sums)}")


def _coloured(verdict: str) -> str:
    """Return a verdict padded to a column, coloured where standard output shows colours."""
    text = f"{verdict:7}"
    return click.style(text, fg=_COLOURS[verdict]) if shows_colours(sys.stdout) else text
