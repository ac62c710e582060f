"""Maps of overlapping windows become one map without seams."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from flawmap.data.resize import Layout

_MARGIN = 4  # the outermost fourth of an overlap counts for nothing, as the window sees too little


class Blend:
    """The one map of a photograph's canvas, to which windows' maps are added in any order.

    Each counts by a weight that falls smoothly to 0 towards edges where another window goes on,
    and never towards the photograph's own; together they are 1 everywhere. So where windows agree
    the map is theirs, and a single window's map comes out as it went in.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._down = axis_weights(layout.tops, layout.size[0])
        self._across = axis_weights(layout.lefts, layout.size[1])
        self._map = np.zeros(layout.canvas_size, np.float32)

    def add(self, index: int, anomaly_map: NDArray[np.float32]) -> None:
        """The map (h, w) of a window."""
        row, column = divmod(index, len(self._layout.lefts))
        weighted = anomaly_map * self._down[row][:, None] * self._across[column]
        self._map[self._layout.window(index)] += weighted

    def photograph(self) -> NDArray[np.float32]:
        """The map without the padding, (H, W) of the layout's map size."""
        return np.ascontiguousarray(self._map[self._layout.picture])


def axis_weights(starts: Sequence[int], side: int) -> NDArray[np.float32]:
    """Weights (n, side) of windows that begin at ``starts`` along one direction, 1 in sum."""
    raw = np.ones((len(starts), side))
    for k in range(1, len(starts)):
        overlap = starts[k - 1] + side - starts[k]
        if overlap > 0:
            rising = _ramp(overlap)
            raw[k, :overlap] *= rising
            raw[k - 1, side - overlap :] *= 1.0 - rising
    total = np.zeros(starts[-1] + side)
    for start, weights in zip(starts, raw, strict=True):
        total[start : start + side] += weights
    for start, weights in zip(starts, raw, strict=True):
        weights /= total[start : start + side]
    return raw.astype(np.float32)


def _ramp(overlap: int) -> NDArray[np.float64]:
    """From 0 to 1 across an overlap, in its middle half, with no corner anywhere."""
    margin = overlap // _MARGIN
    way = (np.arange(overlap) + 0.5 - margin) / (overlap - 2 * margin)
    way = way.clip(0.0, 1.0)
    return way * way * (3.0 - 2.0 * way)
