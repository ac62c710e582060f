"""The course of the training: loss over steps for each phase, pace and time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
from markupsafe import Markup

from flawmap.evaluation.report.charts import loss_chart
from flawmap.evaluation.report.data import ReportData
from flawmap.evaluation.report.numbers import duration, short

Line = Mapping[str, Any]


@dataclass(frozen=True)
class Phase:
    """A phase of the training: its loss over steps, and a sentence on it."""

    name: str
    drawing: Markup
    caption: str


@dataclass(frozen=True)
class Training:
    """The phases, none without a log, and the duration of all of them, if known."""

    phases: list[Phase]
    duration: str | None


def training(data: ReportData) -> Training:
    """Draw one chart per phase of the training log."""
    phases = [_phase(name, lines) for name, lines in _phases(data.training_log).items()]
    seconds = _numbers(data.training_log, "seconds")
    return Training(phases, duration(max(seconds)) if seconds else None)


def _phases(log: Sequence[Line]) -> dict[str, list[Line]]:
    """Return the lines with a step and a loss by phase, in the order of the log."""
    phases: dict[str, list[Line]] = {}
    for line in log:
        if _number(line, "loss") is not None and _number(line, "step") is not None:
            phases.setdefault(str(line.get("phase", "training")), []).append(line)
    return phases


def _phase(name: str, lines: Sequence[Line]) -> Phase:
    steps = np.array([float(line["step"]) for line in lines])
    losses = np.array([float(line["loss"]) for line in lines])
    return Phase(name, loss_chart(f"Loss, {name}", steps, losses), _caption(lines))


def _caption(lines: Sequence[Line]) -> str:
    first, last = lines[0], lines[-1]
    words = f"Step {first['step']}: loss {short(first['loss'])}"
    if len(lines) > 1:
        words = f"Steps {first['step']} to {last['step']}: loss {short(first['loss'])} to "
        words += f"{short(last['loss'])} (pale: as logged; dark: running median)"
    if paces := _numbers(lines, "images_per_s"):
        words += f", {short(round(median(paces), 1))} images a second"
    return words + "."


def _numbers(log: Sequence[Line], key: str) -> list[float]:
    return [value for line in log if (value := _number(line, key)) is not None]


def _number(line: Line, key: str) -> float | None:
    value = line.get(key)
    if isinstance(value, (int, float)) and math.isfinite(value):
        return float(value)
    return None
