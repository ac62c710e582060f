"""The region of interest: where an inspector looks, and what it scores by there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from flawmap.errors import FlawmapError, UsageError
from flawmap.images import read_mask

Mask = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Region:
    """``inside`` (h, w) bool at the working size, with the read-out of the method's configuration.

    The graph's own score may come from anywhere in the image, so within a region the score is the
    mean of the highest ``top_pixels`` values of the map there, after the method's blur.
    """

    inside: NDArray[np.bool_]
    top_pixels: int
    score_sigma: float

    @classmethod
    def of(cls, mask: Mask, configuration: Mapping[str, Any]) -> Region:
        """From a mask {0, 1} and the method's configuration."""
        top = int(configuration.get("top_pixels", 1))
        return cls(mask.astype(bool), top, float(configuration.get("score_sigma", 0.0)))

    def read_out(self, anomaly_map: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
        """The map (h, w) with 0 outside, and its score."""
        masked = np.where(self.inside, anomaly_map, np.float32(0.0))
        blurred = masked
        if self.score_sigma > 0.0:
            blurred = ndimage.gaussian_filter(masked, self.score_sigma, mode="nearest")
        values = blurred[self.inside]
        count = min(self.top_pixels, values.size)
        return masked, float(np.partition(values, -count)[-count:].mean())


def region_file(sha256: str) -> str:
    """Its name in a run: another region never takes the place of one that a manifest names."""
    return f"region-{sha256[:12]}.png"


def read_region(folder: Path, sha256: str, size: tuple[int, int]) -> Mask:
    """The run's region; FlawmapError where it is not the one that the manifest names."""
    path = folder / region_file(sha256)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FlawmapError(f"Cannot read {path}: {error.strerror}.") from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise FlawmapError(f"{path} was changed: set the region again, or copy the run again.")
    return read_mask(data, size, name=path.name)


def draw_region(roi: Path | None, ignore: Path | None, size: tuple[int, int]) -> Mask:
    """Mask (h, w) {0, 1} of what to look at: what ``roi`` shows, but for what ``ignore`` does.

    Each is a picture, white where it holds, or a JSON file of polygons:
    ``{"size": [height, width], "polygons": [[[x, y], ...], ...]}`` in pixels of a photograph.
    Raises FlawmapError where one cannot be read or nothing is left to look at.
    """
    looked = _shape(roi, size) if roi is not None else np.ones(size, np.uint8)
    if ignore is not None:
        looked = looked * (1 - _shape(ignore, size))
    if not looked.any():
        raise FlawmapError("The region is empty: nothing of the image would be looked at.")
    return looked


def _shape(path: Path, size: tuple[int, int]) -> Mask:
    if path.suffix.lower() != ".json":
        return read_mask(path, size)
    polygons, drawn_on = _polygons(path)
    picture = Image.new("L", (drawn_on[1], drawn_on[0]))
    draw = ImageDraw.Draw(picture)
    for polygon in polygons:
        draw.polygon([(x, y) for x, y in polygon], fill=255)
    resized = picture.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return (np.asarray(resized) >= 128).astype(np.uint8)


def _polygons(path: Path) -> tuple[Sequence[Sequence[tuple[float, float]]], tuple[int, int]]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        height, width = (int(side) for side in value["size"])
        polygons = [[(float(x), float(y)) for x, y in one] for one in value["polygons"]]
        if min(height, width) < 1 or not polygons or min(map(len, polygons)) < 3:
            raise ValueError("no area")
    except OSError as error:
        raise UsageError(f"Cannot read {path}: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f'{path} holds no polygons: {{"size": [height, width], "polygons": [[[x, y], ...]]}}, '
            "three corners or more each."
        ) from error
    return polygons, (height, width)
