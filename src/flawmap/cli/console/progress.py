"""Progress: a bar on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)

from flawmap.cli.console.streams import console, errors

if TYPE_CHECKING:
    from flawmap.training.steps.loop import Progress as Step
    from flawmap.training.steps.loop import Reporter

_EVERY = 5.0  # seconds between lines without a terminal


class Bar:
    """Progress bar on a terminal; elsewhere a line every few seconds."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._bar: Progress | None = None
        self._task = None if not errors.is_terminal else self._start()
        self._printed = time.monotonic()

    def _start(self) -> int:
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=errors,
            transient=True,
        )
        self._bar.start()
        return int(self._bar.add_task(self._what, total=None))

    def update(self, done: int, total: int, note: str = "") -> None:
        """Show progress: ``done`` of ``total``."""
        if self._bar is not None and self._task is not None:
            text = f"{self._what} {note}".strip()
            self._bar.update(self._task, completed=done, total=total, description=text)  # type: ignore[arg-type]
        elif done == total or time.monotonic() - self._printed >= _EVERY:
            self._printed = time.monotonic()
            errors.print(f"{self._what}: {done} of {total} {note}".rstrip())

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.stop()


@contextmanager
def counting_display(what: str) -> Iterator[Callable[[int, int], None]]:
    """Yield the update function of a bar; always close the bar at the end."""
    bar = Bar(what)
    try:
        yield bar.update
    finally:
        bar.close()


@contextmanager
def training_display() -> Iterator[Reporter]:
    """Yield a reporter that prints messages and shows a bar for a training run."""
    from flawmap.training.steps.loop import Reporter

    bar: list[Bar] = []

    def show(step: Step) -> None:
        if not bar:
            bar.append(Bar("training"))
        bar[0].update(step.step, step.steps, f"({step.phase}, loss {step.loss:.3f})")

    try:
        yield Reporter(say=console.print, show=show)
    finally:
        for one in bar:
            one.close()
