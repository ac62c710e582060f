"""The training log: one JSON line every few steps."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from flawmap.files import write_bytes

TRAINING_LOG = "training.jsonl"
"""The log's name in a run's folder."""


class TrainingLog:
    """Appends lines of ``step phase loss images_per_s seconds``; on resuming, lines past the
    checkpoint are dropped, so that every step stands once."""

    def __init__(self, path: Path, resume_step: int) -> None:
        self._path = path
        kept = [line for line in read_log(path) if line["step"] <= resume_step]
        write_bytes(path, "".join(json.dumps(line) + "\n" for line in kept).encode())
        self._before = kept[-1]["seconds"] if kept else 0.0
        self._start = self._last = time.monotonic()

    def write(self, step: int, phase: str, loss: float, images: int) -> None:
        """Add the line of the steps since the last one, which took ``images`` images."""
        now = time.monotonic()
        line = {
            "step": step,
            "phase": phase,
            "loss": round(loss, 6),
            "images_per_s": round(images / max(now - self._last, 1e-9), 2),
            "seconds": round(self._before + now - self._start, 2),
        }
        self._last = now
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def read_log(path: Path) -> list[dict[str, Any]]:
    """Lines of a training log, oldest first; a line cut short by a kill is left out."""
    lines = []
    if path.is_file():
        for text in path.read_text(encoding="utf-8").splitlines():
            try:
                lines.append(json.loads(text))
            except ValueError:
                continue
    return lines
