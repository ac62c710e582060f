"""Inspection records for tests, without an inspector."""

from __future__ import annotations

from typing import Any

from flawmap.inspection.record import InspectionRecord

RESULT = {"score": 0.5, "p_value": 0.25, "verdict": "review", "defects": ()}


def make_record(path: str = "a.png", **changes: Any) -> InspectionRecord:
    """A record of an inspected image, or of a failed one if an ``error`` is given."""
    fields = {"path": path, "run": "ab" * 8, "model": "ab" * 32, "settings": "cd" * 8,
              "precision": "float32", "backend": "onnxruntime", "device": "cpu"}  # fmt: skip
    result = {} if "error" in changes else RESULT
    return InspectionRecord(**fields | result | changes)
