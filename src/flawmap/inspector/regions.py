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
    height, width = anomaly_map.shape
    share = image_size[0] * image_size[1] / (height * width)
    defects = [
        Defect(_box(place, (height, width), image_size), max(1, round(area * share)), float(peak))
        for place, area, peak in zip(ndimage.find_objects(labels), areas, peaks, strict=True)
    ]
    return above.astype(np.uint8), sorted(defects, key=lambda d: (-d.peak, d.box))


def _box(
    place: tuple[slice, ...], size: tuple[int, int], image_size: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Smallest box of whole photograph pixels around a region of the map."""
    y, bottom = _scaled(place[0], size[0], image_size[0])
    x, right = _scaled(place[1], size[1], image_size[1])
    return x, y, right - x, bottom - y


def _scaled(place: slice, size: int, image_size: int) -> tuple[int, int]:
    """First and one past last; in whole numbers, as a float may round past the image's edge."""
    return place.start * image_size // size, -(-place.stop * image_size // size)
