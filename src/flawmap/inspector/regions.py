"""Defects: the connected regions of a thresholded anomaly map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

_EIGHT = np.ones((3, 3), dtype=bool)


@dataclass(frozen=True)
class Defect:
    """One 8-connected region; box and area in pixels of the photograph, peak a map value."""

    box: tuple[int, int, int, int]
    """x, y, width, height."""
    area: int
    peak: float


def find_defects(
    anomaly_map: NDArray[np.float32], threshold: float, image_size: tuple[int, int]
) -> tuple[NDArray[np.uint8], list[Defect]]:
    """Mask (h, w) {0, 1} of the map's pixels above ``threshold``, and its regions, worst first.

    ``image_size`` is the photograph's (height, width), to which boxes and areas are scaled.
    """
    above = anomaly_map > threshold
    labels, count = ndimage.label(above, _EIGHT)
    if count == 0:
        return above.astype(np.uint8), []
    index = np.arange(1, count + 1)
    peaks = np.atleast_1d(ndimage.maximum(anomaly_map, labels, index))
    areas = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    down = image_size[0] / anomaly_map.shape[0]
    across = image_size[1] / anomaly_map.shape[1]
    defects = [
        Defect(_box(place, down, across), max(1, round(area * down * across)), float(peak))
        for place, area, peak in zip(ndimage.find_objects(labels), areas, peaks, strict=True)
    ]
    return above.astype(np.uint8), sorted(defects, key=lambda d: (-d.peak, d.box))


def _box(place: tuple[slice, slice], down: float, across: float) -> tuple[int, int, int, int]:
    rows, columns = place
    y, x = int(rows.start * down), int(columns.start * across)
    bottom, right = int(np.ceil(rows.stop * down)), int(np.ceil(columns.stop * across))
    return x, y, right - x, bottom - y
