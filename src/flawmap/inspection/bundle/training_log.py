"""Training log: one JSON line every few steps."""

from __future__ import annotations

import json
import math
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from flawmap.utils.files import cannot_write, write_bytes

TRAINING_LOG = "training.jsonl"
"""The log's name in a run's folder."""
_NUMBERS = ("step", "loss", "images_per_s", "seconds")


class TrainingLog:
    """Writer of lines with ``step phase loss images_per_s seconds``; on resuming, it drops lines
    after the checkpoint, so that every step occurs once."""

    def __init__(self, path: Path, resume_step: int) -> None:
        self._path = path
        kept = [line for line in read_log(path) if line["step"] <= resume_step]
        write_bytes(path, "".join(json.dumps(line) + "\n" for line in kept).encode())
        self._before = kept[-1]["seconds"] if kept else 0.0
        self._start = self._last = time.monotonic()

    def write(self, step: int, phase: str, loss: float, images: int) -> None:
        """Append a line for the steps since the last one, which processed ``images`` images."""
        now = time.monotonic()
        line = {
            "step": step,
            "phase": phase,
            "loss": round(loss, 6),
            "images_per_s": round(images / max(now - self._last, 1e-9), 2),
            "seconds": round(self._before + now - self._start, 2),
        }
        self._last = now
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise cannot_write(self._path, error) from error


def read_log(path: Path) -> list[dict[str, Any]]:
    """Read a training log, oldest line first; skip truncated and foreign lines."""
    lines = []
    if path.is_file():
        for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
            with suppress(ValueError, RecursionError):
                line = json.loads(text)
                if isinstance(line, dict) and all(_is_number(line.get(key)) for key in _NUMBERS):
                    lines.append(line)
    return lines


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
