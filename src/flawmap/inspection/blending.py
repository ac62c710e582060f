"""Blending of the maps of overlapping tiles into one map without seams."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from flawmap.data.resize import Layout

_MARGIN = 4  # the outermost fourth of an overlap has weight 0: the tile has too little context


class Blend:
    """Map of a padded image, to which the maps of its tiles are added in any order.

    The weight of a tile falls smoothly to 0 towards edges with a neighbouring tile, but not towards
    the image's own edges; the weights sum to 1 everywhere. Where tiles agree, the map equals
    theirs, and the map of a single tile is returned unchanged.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._down = axis_weights(layout.tops, layout.size[0])
        self._across = axis_weights(layout.lefts, layout.size[1])
        self._map = np.zeros(layout.padded_size, np.float32)

    def add(self, index: int, anomaly_map: NDArray[np.float32]) -> None:
        """Add the map (h, w) of a tile."""
        row, column = divmod(index, len(self._layout.lefts))
        weighted = anomaly_map * self._down[row][:, None] * self._across[column]
        self._map[self._layout.tile(index)] += weighted

    def result(self) -> NDArray[np.float32]:
        """Return the map without padding, (H, W) of the layout's map size."""
        return np.ascontiguousarray(self._map[self._layout.image_in_padded])


def axis_weights(starts: Sequence[int], side: int) -> NDArray[np.float32]:
    """Return weights (n, side), summing to 1, of tiles that begin at ``starts`` along one axis."""
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
    """Return a smooth ramp from 0 to 1 in the middle half of an overlap."""
    margin = overlap // _MARGIN
    way = (np.arange(overlap) + 0.5 - margin) / (overlap - 2 * margin)
    way = way.clip(0.0, 1.0)
    return way * way * (3.0 - 2.0 * way)
