"""The region of interest: where an inspector looks, and what it scores by there."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from flawmap.errors import FlawmapError, UsageError
from flawmap.inspector.scoring import Scoring
from flawmap.masks import read_mask

Mask = NDArray[np.uint8]
_MOST_PIXELS = 2**24  # of a region's picture
_MOST_SHAPES = 8  # of maps whose region is kept at hand


@dataclass(frozen=True, eq=False)
class Region:
    """``mask`` (h, w) bool as it was drawn, and the scoring of the method's configuration.

    The graph's own score may come from anywhere in the image, so within a region the score is the
    mean of the highest ``top_pixels`` values of the map there, after the method's blur.
    """

    mask: NDArray[np.bool_]
    scoring: Scoring
    _inside: dict[tuple[int, ...], NDArray[np.bool_]] = field(default_factory=dict)

    @classmethod
    def of(cls, mask: Mask, configuration: Mapping[str, Any]) -> Region:
        """From a mask {0, 1} and the method's configuration."""
        return cls(mask.astype(bool), Scoring.of(configuration))

    def inside(self, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        """Where to look in a map of this shape; never nowhere, however small it is."""
        if shape == self.mask.shape:
            return self.mask
        found = self._inside.get(shape)
        if found is None:
            if len(self._inside) >= _MOST_SHAPES:
                self._inside.clear()
            found = self._inside[shape] = _scaled(self.mask, shape)
        return found

    def read_out(self, anomaly_map: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
        """The map (h, w) with 0 outside, and its score."""
        inside = self.inside(anomaly_map.shape)
        masked = np.where(inside, anomaly_map, np.float32(0.0))
        return masked, self.scoring(masked, inside)


def region_file(sha256: str) -> str:
    """Its name in a run: another region never takes the place of one that a manifest names."""
    return f"region-{sha256[:12]}.png"


def read_region(folder: Path, sha256: str, size: tuple[int, int] | None) -> Mask:
    """The run's region, of this size or as it was drawn.

    Raises FlawmapError where it is not the one that the manifest names.
    """
    path = folder / region_file(sha256)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FlawmapError(f"Cannot read {path}: {error.strerror}.") from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise FlawmapError(f"{path} was changed: set the region again, or copy the run again.")
    return read_mask(data, size, name=path.name)


def draw_region(roi: Path | None, ignore: Path | None, size: tuple[int, int] | None = None) -> Mask:
    """Mask (h, w) {0, 1} of what to look at: what ``roi`` shows, but for what ``ignore`` does.

    Without a ``size`` it has that of the first of them, or at most 16 million pixels.

    Each is a picture, white where it holds, or a JSON file of polygons:
    ``{"size": [height, width], "polygons": [[[x, y], ...], ...]}`` in pixels of a photograph.
    Raises FlawmapError where one cannot be read or nothing is left to look at.
    """
    if roi is not None:
        looked = _shape(roi, size)
        if ignore is not None:
            looked = looked * (1 - _shape(ignore, looked.shape))
    elif ignore is not None:
        looked = 1 - _shape(ignore, size)
    else:
        raise UsageError("Neither what to look at nor what to ignore: give one of them.")
    if not looked.any():
        raise FlawmapError("The region is empty: nothing of the image would be looked at.")
    return looked


def _shape(path: Path, size: tuple[int, ...] | None) -> Mask:
    if path.suffix.lower() != ".json":
        if size is not None:
            return read_mask(path, (size[0], size[1]))
        mask = read_mask(path, None)
        wanted = _at_most(mask.shape)
        return mask if mask.shape == wanted else _scaled(mask, wanted).astype(np.uint8)
    polygons, drawn_on = _polygons(path)
    size = size or _at_most(drawn_on)
    picture = Image.new("L", (drawn_on[1], drawn_on[0]))
    draw = ImageDraw.Draw(picture)
    for polygon in polygons:
        draw.polygon([(x, y) for x, y in polygon], fill=255)
    resized = picture.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return (np.asarray(resized) >= 128).astype(np.uint8)


def _at_most(size: tuple[int, ...]) -> tuple[int, ...]:
    """The size itself, or the largest of its shape that is allowed."""
    scale = min(1.0, math.sqrt(_MOST_PIXELS / math.prod(size)))
    return tuple(max(1, int(scale * side)) for side in size)


def _scaled(mask: NDArray[np.bool_] | Mask, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Where at least half is marked; where that is nowhere, where anything is."""
    picture = Image.fromarray(mask.astype(np.float32))
    share = np.asarray(picture.resize((shape[1], shape[0]), Image.Resampling.BILINEAR))
    found: NDArray[np.bool_] = share >= 0.5
    return found if found.any() else share > 0.0


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
