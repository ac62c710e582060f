"""Fixtures of the tests of many images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flawmap.data.image_io.images import write_png
from flawmap.inspection.record import InspectionRecord


@pytest.fixture
def twelve(tmp_path: Path) -> Path:
    """A folder of twelve images, of which the fifth cannot be read."""
    rng = np.random.default_rng(7)
    (folder := tmp_path / "twelve").mkdir()
    for number in range(12):
        write_png(folder / f"{number}.png", rng.integers(0, 256, (90, 100, 3), np.uint8))
    (folder / "5.png").write_bytes(b"no image")
    return folder


def untimed(records: list[InspectionRecord]) -> list[dict[str, Any]]:
    """The records without their milliseconds, which alone may differ."""
    return [record.model_copy(update={"milliseconds": None}).to_dict() for record in records]
