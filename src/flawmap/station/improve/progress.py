"""How far a training is: from its log and from what it says."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from flawmap.inspection.bundle.training_log import TRAINING_LOG, read_log
from flawmap.station.improve.training import OUTPUT, RUN, is_trained

_STEP = re.compile(r"training: (\d+) of (\d+) \((\w+), loss ([\d.naif]+)\)")
_TAIL = 16_384  # bytes of the output that are looked at
_SHOWN = 6  # lines
_LINE = 400  # characters of a line


@dataclass(frozen=True)
class Progress:
    """State of a job's processes; `steps` is none until the training says how many there are."""

    lines: tuple[str, ...] = ()
    step: int = 0
    steps: int | None = None
    phase: str = ""
    loss: float | None = None
    seconds_left: float | None = None
    trained: bool = False

    @property
    def percent(self) -> int:
        """Share of the steps that are done."""
        if self.trained:
            return 100
        return 0 if not self.steps else min(100, 100 * self.step // self.steps)


def progress_of(folder: Path) -> Progress:
    """Return how far the job of a folder is; a new one has no lines."""
    text = _tail(folder / OUTPUT)
    said = list(_STEP.finditer(text))
    lines = tuple(line[:_LINE] for line in _messages(text))[-_SHOWN:]
    logged = read_log(folder / RUN / TRAINING_LOG)
    if not said:
        return Progress(lines, trained=is_trained(folder))
    last, log = said[-1], logged[-1] if logged else None
    step, steps = int(last[1]), int(last[2])
    loss, phase, left = float(last[4]), last[3], None
    if log is not None and log["step"] <= steps:
        if log["step"] >= step:
            step, loss, phase = int(log["step"]), float(log["loss"]), str(log.get("phase", phase))
        if log["step"]:
            left = (steps - step) * log["seconds"] / log["step"]
    return Progress(lines, step, steps, phase, loss, left, is_trained(folder))


def last_error(folder: Path) -> str:
    """Return the last thing that a failed process said."""
    lines = list(_messages(_tail(folder / OUTPUT)))
    return lines[-1].removeprefix("flawmap: ")[:_LINE] if lines else "it said nothing"


def _messages(text: str) -> Iterator[str]:
    """Yield lines other than progress."""
    for line in text.splitlines():
        if line.strip() and not _STEP.match(line):
            yield line.strip()


def _tail(path: Path) -> str:
    with suppress(OSError), path.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
        return file.read().decode("utf-8", "replace")
    return ""
