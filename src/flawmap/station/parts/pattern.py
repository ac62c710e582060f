"""Pattern of a part: where its anomaly map is high, in few bytes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SIDE = 8
"""Cells of a pattern across and down."""


def pattern_of(anomaly_map: NDArray[np.float32]) -> bytes:
    """Return the largest value of a map (h, w) in each of 8 x 8 cells, as a share of its peak.

    One byte a cell, 255 for the peak. A map that is 0 everywhere has a pattern of zeros.
    """
    height, width = anomaly_map.shape
    rows, columns = (np.arange(SIDE) * length // SIDE for length in (height, width))
    highest = np.maximum.reduceat(anomaly_map, rows, axis=0)
    cells = np.clip(np.maximum.reduceat(highest, columns, axis=1), 0.0, None)
    peak = float(cells.max())
    return np.rint(cells * (255.0 / peak if peak > 0.0 else 0.0)).astype(np.uint8).tobytes()
