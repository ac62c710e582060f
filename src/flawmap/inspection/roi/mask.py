"""Region of interest: its mask, and the score within it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flawmap.data.masks.decoding import read_mask
from flawmap.errors import FlawmapError
from flawmap.inspection.scoring import Scoring
from flawmap.utils.files import read_regular

Mask = NDArray[np.uint8]
_MOST_BYTES = 2**26  # limit of a region's file, which has at most 16 million pixels
_MOST_SHAPES = 8  # map sizes for which the scaled region is cached


@dataclass(frozen=True, eq=False)
class Region:
    """Region of interest: ``mask`` (h, w) bool as drawn, and the method's scoring.

    The model's own score may come from anywhere in the image, so the score within a region is the
    mean of the highest ``top_pixels`` values of the map there, after the method's blur.
    """

    mask: NDArray[np.bool_]
    scoring: Scoring
    _inside: dict[tuple[int, ...], NDArray[np.bool_]] = field(default_factory=dict)

    @classmethod
    def of(cls, mask: Mask, configuration: Mapping[str, Any]) -> Region:
        """Create a region from a mask {0, 1} and the method's configuration."""
        return cls(mask.astype(bool), Scoring.of(configuration))

    def inside(self, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        """Return the region in a map of this shape; it is never empty, however small the map."""
        if shape == self.mask.shape:
            return self.mask
        inside = self._inside.get(shape)
        if inside is None:
            if len(self._inside) >= _MOST_SHAPES:
                self._inside.clear()
            inside = self._inside[shape] = scaled(self.mask, shape)
        return inside

    def read_out(self, anomaly_map: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
        """Return the map (h, w) with 0 outside the region, and its score."""
        inside = self.inside(anomaly_map.shape)
        masked = np.where(inside, anomaly_map, np.float32(0.0))
        return masked, self.scoring(masked, inside)


def region_file(sha256: str) -> str:
    """Return the file name of a region; a new region never overwrites one in use."""
    return f"region-{sha256[:12]}.png"


def read_region(folder: Path, sha256: str, size: tuple[int, int] | None) -> Mask:
    """Read the run's region, at this size or as drawn.

    Raises FlawmapError if it is not the one listed in the manifest.
    """
    path = folder / region_file(sha256)
    try:
        data = read_regular(path, _MOST_BYTES)
    except OSError as error:
        raise FlawmapError(
            f"Cannot read {path}: {error.strerror}. Copy the whole run folder again."
        ) from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise FlawmapError(
            f"{path} was changed: set the region again, or copy the run folder again."
        )
    return read_mask(data, size, name=path.name)


def scaled(mask: NDArray[np.bool_] | Mask, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Scale a mask: mark pixels covered by half or more; if there are none, by any amount."""
    drawing = Image.fromarray(mask.astype(np.float32))
    share = np.asarray(drawing.resize((shape[1], shape[0]), Image.Resampling.BILINEAR))
    marked: NDArray[np.bool_] = share >= 0.5
    return marked if marked.any() else share > 0.0
