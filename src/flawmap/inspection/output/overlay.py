"""Overlay and mask of an image of any size, computed and written in strips.

An image of 20 megapixels takes 60 MB; its map at that size, the heat map and the encoder's copy
would take five times as much. So the overlay is drawn into the image itself, strip by strip, and
each strip is written before the next is computed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from flawmap.data.image_io.strip_png import strip_png
from flawmap.inspection.decision import Inspection

_STRIP_PIXELS = 2**20
_RIM = 3  # pixels by which an outline extends beyond its region
_OPACITY = 0.7


def write_overlay_and_mask(
    overlay: Path,
    mask: Path,
    image: NDArray[np.uint8],
    inspection: Inspection,
    threshold: float,
    *,
    drop: bool,
) -> None:
    """Write both files at the image's size (H, W); ``image`` (H, W, 3) becomes the overlay.

    ``threshold``: of the map's pixels. ``drop``: count only regions in the inspection's mask.
    """
    from flawmap.visualization.colour import PREDICTED, heat_levels, lay_heat, outline

    height, width = image.shape[:2]
    marks = _Marks(inspection, threshold, (height, width), drop)
    with strip_png(overlay, image.shape) as draw, strip_png(mask, (height, width)) as flatten:
        for top, bottom in _strips(height, width):
            above, below = max(0, top - _RIM), min(height, bottom + _RIM)
            values = marks.values(above, below)
            marked = marks.mask(above, below, values)
            own = slice(top - above, bottom - above)
            strip = image[top:bottom]
            lay_heat(strip, heat_levels(values[own], threshold), opacity=_OPACITY)
            flatten(marked[own] * np.uint8(255))
            if marked.any():
                framed = np.zeros((below - above, width, 3), np.uint8)
                framed[own] = strip
                strip = outline(framed, marked, PREDICTED)[own]
            draw(strip)


@dataclass(eq=False)
class _Marks:
    """Map and mask of an inspection at the image's size, computed a range of rows at a time."""

    inspection: Inspection
    threshold: float
    size: tuple[int, int]
    drop: bool

    def values(self, top: int, bottom: int) -> NDArray[np.float32]:
        """Return rows of the map, resized bilinearly as the whole map would be."""
        anomaly_map = self.inspection.anomaly_map
        if anomaly_map.shape == self.size:
            return anomaly_map[top:bottom]
        height, width = anomaly_map.shape
        scale = height / self.size[0]
        box = (0.0, top * scale, float(width), min(bottom * scale, height))
        size = (self.size[1], bottom - top)
        whole = Image.fromarray(np.ascontiguousarray(anomaly_map))
        return np.asarray(whole.resize(size, Image.Resampling.BILINEAR, box), dtype=np.float32)

    def mask(self, top: int, bottom: int, values: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Return rows of the mask {0, 1} for the map values ``values``."""
        marked = values > self.threshold
        if self.drop:
            height, width = self._kept.shape
            down = _nearest(np.arange(top, bottom), height / self.size[0])
            across = _nearest(np.arange(self.size[1]), width / self.size[1])
            marked &= self._kept[down][:, across]
        return marked.astype(np.uint8)

    @cached_property
    def _kept(self) -> NDArray[np.bool_]:
        """Regions that count, dilated: enlarging the map may shift their edges by half a pixel."""
        return np.asarray(ndimage.maximum_filter(self.inspection.mask, 3) > 0)


def _nearest(positions: NDArray[np.intp], scale: float) -> NDArray[np.intp]:
    return ((positions + 0.5) * scale).astype(np.intp)


def _strips(height: int, width: int) -> Iterator[tuple[int, int]]:
    rows = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, rows):
        yield top, min(top + rows, height)
