"""How the training went: loss over steps for each phase, pace and time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

import numpy as np

from flawmap.evaluation.report.charts import loss_chart
from flawmap.evaluation.report.data import ReportData
from flawmap.evaluation.report.markup import Html, tag
from flawmap.evaluation.report.numbers import duration, short

Line = Mapping[str, Any]


def training(data: ReportData) -> Html:
    """One chart a phase with its pace, and the time in all; says so where there is no log."""
    title = tag("h2", "How the training went")
    phases = _phases(data.training_log)
    if not phases:
        note = tag("p", "No training log was at hand.", class_="quiet")
        return tag("section", title, note, id="training")
    charts = [_phase(name, lines) for name, lines in phases.items()]
    parts = [title, *_time(data.training_log), tag("div", *charts, class_="two")]
    return tag("section", *parts, id="training")


def _phases(log: Sequence[Line]) -> dict[str, list[Line]]:
    """The lines that carry a step and a loss, by phase, in the order of the log."""
    phases: dict[str, list[Line]] = {}
    for line in log:
        if _number(line, "loss") is not None and _number(line, "step") is not None:
            phases.setdefault(str(line.get("phase", "training")), []).append(line)
    return phases


def _phase(name: str, lines: Sequence[Line]) -> Html:
    steps = np.array([float(line["step"]) for line in lines])
    losses = np.array([float(line["loss"]) for line in lines])
    caption = tag("figcaption", _caption(lines), class_="quiet")
    title = f"Phase “{name}”"
    return tag("figure", tag("h3", title), loss_chart(f"Loss, {name}", steps, losses), caption)


def _caption(lines: Sequence[Line]) -> str:
    first, last = lines[0], lines[-1]
    words = f"Steps {first['step']} to {last['step']}: loss {short(first['loss'])} to "
    words += f"{short(last['loss'])} (pale: as logged; dark: running median)"
    if paces := _numbers(lines, "images_per_s"):
        words += f", {short(round(median(paces), 1))} images a second"
    return words + "."


def _time(log: Sequence[Line]) -> list[Html]:
    seconds = _numbers(log, "seconds")
    return [tag("p", f"It took {duration(max(seconds))}.")] if seconds else []


def _numbers(log: Sequence[Line], key: str) -> list[float]:
    return [value for line in log if (value := _number(line, key)) is not None]


def _number(line: Line, key: str) -> float | None:
    value = line.get(key)
    if isinstance(value, (int, float)) and math.isfinite(value):
        return float(value)
    return None
