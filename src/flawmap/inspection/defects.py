"""Defects: connected regions of a thresholded anomaly map that pass the filters."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy import ndimage

from flawmap.data.resize import Place
from flawmap.inspection.record import Defect

_EIGHT = np.ones((3, 3), dtype=bool)
_DIRECTIONS = np.linspace(0.0, np.pi, 36, endpoint=False)  # lengths are accurate to 0.1 %


class Filters(BaseModel):
    """Criteria for regions to count as defects. Distances and areas are in image pixels."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    min_area: float = Field(0.0, ge=0.0, description="smaller regions are none")
    min_peak: float = Field(0.0, ge=0.0, description="regions of a lower highest value are none")
    merge_distance: float = Field(0.0, ge=0.0, description="regions about as near are one")
    pixel_pitch: float | None = Field(None, gt=0.0, description="mm of the part in a pixel")

    @property
    def drop(self) -> bool:
        """Whether any region can be dropped."""
        return self.min_area > 0.0 or self.min_peak > 0.0


class FilteredDefects(NamedTuple):
    """``mask`` (h, w) uint8 {0, 1} of the defects that count, these ``defects``, worst first, and
    the number of ``regions`` before filtering."""

    mask: NDArray[np.uint8]
    defects: list[Defect]
    regions: int


def find_defects(
    anomaly_map: NDArray[np.float32],
    threshold: float,
    image_size: tuple[int, int],
    filters: Filters | None = None,
) -> FilteredDefects:
    """Find regions of the map (h, w) above ``threshold`` that pass the filters.

    Boxes, areas and lengths are scaled to ``image_size``, the image's (height, width).
    """
    limits = filters or Filters()
    regions = find_regions(anomaly_map, threshold, image_size, limits.merge_distance)
    mask = np.zeros(anomaly_map.shape, np.uint8)
    if regions is None:
        return FilteredDefects(mask, [], 0)
    labels, part, scale = regions.labels, regions.part, regions.scale
    passed = regions.passing(limits)
    places = ndimage.find_objects(labels)
    defects = [
        _measured(
            limits.pixel_pitch,
            box=_box(_moved(places[i], part), anomaly_map.shape, image_size),
            area=max(1, round(float(regions.areas[i]))),
            peak=float(regions.peaks[i]),
            length=_length(labels[places[i]] == i + 1, scale),
            mean=float(regions.means[i]),
        )
        for i in np.flatnonzero(passed)
    ]
    mask[part] = np.concatenate([[False], passed])[labels]
    return FilteredDefects(mask, sorted(defects, key=lambda d: (-d.peak, d.box)), len(passed))


class Regions(NamedTuple):
    """Regions of a map before filtering: ``labels`` (a, b) of the ``part`` of it that holds them
    all, 0 for none, ``scale`` of its pixels to image pixels, and of each region (n,) the area in
    image pixels, not rounded, and the highest and mean value."""

    labels: NDArray[np.int32]
    part: Place
    scale: tuple[float, float]
    areas: NDArray[np.float64]
    peaks: NDArray[np.float32]
    means: NDArray[np.float64]

    def passing(self, filters: Filters) -> NDArray[np.bool_]:
        """Return which regions (n,) count as defects."""
        passed: NDArray[np.bool_] = self.areas >= filters.min_area
        return passed & (self.peaks >= filters.min_peak)


def find_regions(
    anomaly_map: NDArray[np.float32],
    threshold: float,
    image_size: tuple[int, int],
    merge_distance: float,
) -> Regions | None:
    """Find regions of the map (h, w) above ``threshold``; None if there are none."""
    above = anomaly_map > threshold
    if not above.any():
        return None
    scale = image_size[0] / above.shape[0], image_size[1] / above.shape[1]
    part = _around(above)  # no need to label the rest of a large map
    marked, values = above[part], anomaly_map[part]
    labels, count = _labelled(marked, merge_distance, scale)
    peaks, means, pixels = _statistics(values[marked], labels[marked], count)
    return Regions(labels, part, scale, pixels * (scale[0] * scale[1]), peaks, means)


def _measured(pixel_pitch: float | None, *, area: int, length: float, **values: Any) -> Defect:
    """Create a defect, with its area and length in mm if the pixel pitch is known."""
    if pixel_pitch is None:
        return Defect(area=area, length=length, **values)
    area_mm2, length_mm = round(area * pixel_pitch**2, 4), round(length * pixel_pitch, 4)
    return Defect(area=area, length=length, area_mm2=area_mm2, length_mm=length_mm, **values)


def _around(above: NDArray[np.bool_]) -> Place:
    """Return the bounding box of all pixels above the threshold; there is at least one."""
    rows, columns = np.flatnonzero(above.any(1)), np.flatnonzero(above.any(0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _moved(place: Place, part: Place) -> Place:
    """Translate a place in a part of the map to the whole map."""
    rows, columns = (
        slice(one.start + whole.start, one.stop + whole.start)
        for one, whole in zip(place, part, strict=True)
    )
    return rows, columns


def _labelled(
    above: NDArray[np.bool_], merge_distance: float, scale: tuple[float, float]
) -> tuple[NDArray[np.int32], int]:
    """Return the region label of every pixel, 0 for none, and the number of regions."""
    near = above
    reach = (merge_distance - max(scale)) / 2.0  # neighbours in the map touch anyway
    if reach > 0.0:
        near = ndimage.distance_transform_edt(~above, sampling=scale) <= reach
    labels, count = ndimage.label(near, _EIGHT)
    return np.where(above, labels, 0), int(count)


def _statistics(
    values: NDArray[np.float32], labels: NDArray[np.int32], count: int
) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.int64]]:
    """Return maximum, mean and pixel count of each region, from the map values (n,) and region
    labels (n,) of all marked pixels."""
    pixels = np.bincount(labels, minlength=count + 1)[1:]
    sums = np.bincount(labels, values, minlength=count + 1)[1:]
    peaks = np.atleast_1d(ndimage.maximum(values, labels, np.arange(1, count + 1)))
    return peaks, sums / pixels, pixels


def _length(region: NDArray[np.bool_], scale: tuple[float, float]) -> float:
    """Return the largest extent, measured between outer pixel edges."""
    rows, columns = _ends(region)
    across = np.cos(_DIRECTIONS)[:, None] * scale[1]
    down = np.sin(_DIRECTIONS)[:, None] * scale[0]
    along = across * columns + down * rows
    pixel = np.abs(across[:, 0]) + np.abs(down[:, 0])
    return round(float((np.ptp(along, axis=1) + pixel).max()), 2)


def _ends(region: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return rows and columns of the first and last pixel per row: only these can be extreme."""
    rows = np.flatnonzero(region.any(axis=1))
    first = region[rows].argmax(axis=1)
    last = region.shape[1] - 1 - region[rows, ::-1].argmax(axis=1)
    return np.concatenate([rows, rows]), np.concatenate([first, last])


def _box(
    place: Place, size: tuple[int, ...], image_size: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Return the smallest box of whole image pixels around a region of the map."""
    y, bottom = _scaled(place[0], size[0], image_size[0])
    x, right = _scaled(place[1], size[1], image_size[1])
    return x, y, right - x, bottom - y


def _scaled(place: slice, size: int, image_size: int) -> tuple[int, int]:
    """Return start and end, by integer arithmetic: floats may round past the image's edge."""
    return place.start * image_size // size, -(-place.stop * image_size // size)
