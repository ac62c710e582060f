"""Progress: a bar on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from flawmap.cli.console.terminal import is_terminal, say, width

if TYPE_CHECKING:
    from click._termui_impl import ProgressBar

    from flawmap.training.steps.loop import Progress as Step
    from flawmap.training.steps.loop import Reporter

_EVERY = 5.0  # seconds between lines without a terminal
_REDRAWN = 0.1  # seconds between two states of a bar
_NARROWEST, _WIDEST = 5, 40  # columns of a bar
_ERASE = "\r\x1b[2K\x1b[?25h"  # the line, and show the cursor, which a bar of click hides


class Bar:
    """Progress bar on a terminal; elsewhere a line every few seconds."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._bar: ProgressBar[str] = click.progressbar(
            length=1, label=what, file=sys.stderr, show_eta=False, show_pos=True,
            item_show_func=lambda note: note or None, bar_template="%(label)s [%(bar)s] %(info)s",
        )  # fmt: skip
        self._drawn = False
        self._printed = time.monotonic()
        self._first = (0, self._printed)  # what was done when the time left was first estimated

    def update(self, done: int, total: int, note: str = "") -> None:
        """Show progress: ``done`` of ``total``."""
        terminal = is_terminal(sys.stderr)
        if terminal and (total != self._bar.length or done < self._bar.pos):
            self._start(done, total)
        self._bar.pos = done
        if done == total:
            self.close()
        elif time.monotonic() - self._printed < (_REDRAWN if terminal else _EVERY):
            return
        self._printed = time.monotonic()
        if not terminal:
            say(f"{self._what}: {done} of {total} {note}".rstrip(), err=True)
        elif done < total:
            self._draw(note)

    def close(self) -> None:
        """Remove the bar; the next update draws it again."""
        if self._drawn:
            self._drawn = False
            with contextlib.suppress(OSError):  # the terminal itself may have closed
                click.echo(_ERASE, nl=False, err=True)

    def _start(self, done: int, total: int) -> None:
        """Begin a bar of another length, or the same one again; due to be drawn at once."""
        self._bar.length = total
        self._first = (done, time.monotonic())
        self._printed -= _EVERY

    def _draw(self, note: str) -> None:
        """Draw the bar, with as much beside it as fits in the line."""
        room = width(sys.stderr) - 1
        left = self._time_left()
        for words in (f"{left}  {note}".strip(), left, ""):
            self._bar.current_item = words
            self._bar.width = 0
            free = room - len(self._bar.format_progress_line())
            if free >= _NARROWEST:
                break
        self._bar.width = max(0, min(free, _WIDEST))
        self._drawn = True
        self._bar.render_progress()

    def _time_left(self) -> str:
        done, started = self._first
        if self._bar.pos == done or self._bar.length is None:
            return "-:--:--"
        pace = (time.monotonic() - started) / (self._bar.pos - done)
        return str(timedelta(seconds=round(pace * (self._bar.length - self._bar.pos))))


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

    bar = Bar("training")

    def show(step: Step) -> None:
        bar.update(step.step, step.steps, f"({step.phase}, loss {step.loss:.3f})")

    def message(text: str) -> None:
        bar.close()
        say(text)

    try:
        yield Reporter(say=message, show=show)
    finally:
        bar.close()
