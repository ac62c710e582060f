"""Decision rule from map to verdict, and the result in memory; all commands share both."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from flawmap.data.image_io.images import ImageError
from flawmap.inspection.bundle.manifest import Manifest, read_manifest, region_id, settings_id
from flawmap.inspection.conformal import Calibration
from flawmap.inspection.defects import Filters, find_defects
from flawmap.inspection.record import Defect, InspectionRecord, Provenance, WithRecord
from flawmap.inspection.roi.mask import Region, read_region
from flawmap.inspection.roi.shape import extent, is_like
from flawmap.inspection.tiled import RawPrediction
from flawmap.types import Size, Verdict
from flawmap.utils.printable import printable


def decide(calibration: Calibration, filters: Filters, score: float, defects: int) -> Verdict:
    """Return the verdict for an image with this score and this many defects after filtering.

    Without filters only the score decides. Filters that can drop regions require more evidence:
    an image with no defect left is good, whether its regions were dropped or it had none. A higher
    score or an additional defect never improves the verdict, and filters never worsen it, so the
    guarantee of the thresholds holds.
    """
    if filters.drop and not defects:
        return "good"
    return cast(Verdict, calibration.verdict(score))


@dataclass(frozen=True, eq=False)
class ImageInfo:
    """Image that a map belongs to: its (height, width); its path and the SHA-256 of its file, where
    known; and the image (H, W, 3) itself, where it is kept."""

    size: Size
    path: str | None = None
    sha256: str | None = None
    pixels: NDArray[np.uint8] | None = field(default=None, repr=False)


@dataclass(frozen=True, eq=False, repr=False)
class Inspection(WithRecord):
    """Result of inspecting one image: the record, and the arrays behind it.

    ``anomaly_map`` float32 (h, w) and ``mask`` uint8 {0, 1} (h, w) have the working size if the
    image was squashed to it, the image's aspect ratio for a letterbox, and the image's own size for
    tiles. Boxes, areas and lengths of ``defects`` are in image pixels. Outside the inspector's
    region the map is 0; ``raw_map`` and ``raw_score`` are the model's output for the whole image.
    ``size`` is the image's (height, width), and ``image`` (H, W, 3) the image itself, where it is
    kept.

    Inspections are equal if score, p-value, verdict, defects and arrays are.
    """

    record: InspectionRecord
    anomaly_map: NDArray[np.float32]
    mask: NDArray[np.uint8]
    raw_map: NDArray[np.float32]
    raw_score: float
    size: Size
    image: NDArray[np.uint8] | None = None

    # The record of an inspection has no error, so these fields are never None.

    @property
    def defects(self) -> tuple[Defect, ...]:
        """Connected regions of the mask, worst first."""
        return cast(tuple[Defect, ...], self.record.defects)

    @property
    def milliseconds(self) -> float:
        """Time from reading the image to the verdict."""
        return cast(float, self.record.milliseconds)

    def __repr__(self) -> str:
        return (
            f"Inspection(score={self.score!r}, p_value={self.p_value!r}, "
            f"verdict={self.verdict!r}, defects={self.defects!r})"
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Inspection):
            return NotImplemented
        return self._values == other._values and all(
            np.array_equal(getattr(self, name), getattr(other, name))
            for name in ("anomaly_map", "mask", "raw_map")
        )

    def __hash__(self) -> int:
        return hash(self._values)

    @property
    def _values(self) -> tuple[object, ...]:
        return self.score, self.p_value, self.verdict, self.defects, self.raw_score


Outcome = Inspection | InspectionRecord
"""Inspection of an image, or the record that says why there is none."""


def record_of(outcome: Outcome) -> InspectionRecord:
    """Return the record of an inspected image or of a failed one."""
    return outcome.record if isinstance(outcome, Inspection) else outcome


@dataclass(frozen=True, eq=False)
class PostProcessor:
    """Thresholds, region and filters that turn the model's map and score into an inspection.

    An image whose shape is unlike the region's is refused: the stretched region would lie on other
    places of the part, and a defect outside it would pass. With the fit ``squash`` the shape is not
    checked: it squeezes images of every shape alike, and the region is stored in the working size,
    so it marks the same shares of height and width in all of them.
    """

    manifest: Manifest
    region: Region | None

    @classmethod
    def load(cls, folder: Path) -> PostProcessor:
        """Load the settings of a run without its model. Raises as :meth:`Inspector.load`."""
        manifest = read_manifest(folder)
        return cls(manifest, load_region(folder, manifest))

    @cached_property
    def settings(self) -> str:
        """Digest of thresholds, filters and region."""
        return settings_id(self.manifest)

    def __call__(
        self,
        prediction: RawPrediction,
        image: ImageInfo,
        provenance: Provenance,
        start: float | None = None,
    ) -> Inspection:
        """Return the inspection of an image from the model's output.

        ``start``: time.perf_counter() when work on the image began, by default now. For the verdict
        see :func:`decide`. Raises ImageError if the image's shape is unlike the region's.
        """
        begun = time.perf_counter() if start is None else start
        self.check_shape(image)
        anomaly_map, score = prediction
        if self.region is not None:
            anomaly_map, score = self.region.read_out(anomaly_map)
        calibration, filters = self.manifest.calibration, self.manifest.filters
        mask, defects, _ = find_defects(anomaly_map, calibration.pixel.value, image.size, filters)
        record = InspectionRecord(
            score=score,
            p_value=calibration.p_value(score),
            verdict=decide(calibration, filters, score, len(defects)),
            defects=tuple(defects),
            milliseconds=round(1000.0 * (time.perf_counter() - begun), 3),
            **self._origin(image.path, image.sha256, provenance),
        )
        raw_map, raw_score = prediction
        return Inspection(record, anomaly_map, mask, raw_map, raw_score, image.size, image.pixels)

    def check_shape(self, image: ImageInfo) -> None:
        """Raise ImageError if the image's shape is unlike the region's, except with ``squash``."""
        if self.region is None or self.manifest.preprocessing.fit == "squash":
            return
        height, width = self.region.mask.shape
        if not is_like(image.size, (height, width)):
            name = "the image data" if image.path is None else printable(image.path)
            raise ImageError(
                f"{name}: {extent(image.size)}, and the region of interest is for images shaped "
                f"like {extent((height, width))}: restore the camera's crop and orientation, or "
                "set the region again with flawmap regions"
            )

    def failed(
        self, path: str | None, sha256: str | None, error: str, provenance: Provenance
    ) -> InspectionRecord:
        """Return the record of an image that could not be inspected."""
        return InspectionRecord(error=error, **self._origin(path, sha256, provenance))

    def _origin(
        self, path: str | None, sha256: str | None, provenance: Provenance
    ) -> dict[str, Any]:
        return {
            "path": path,
            "image": sha256,
            "settings": self.settings,
            "region": region_id(self.manifest),
            **vars(provenance),
        }


def load_region(folder: Path, manifest: Manifest) -> Region | None:
    """Load the run's region, or None if it has none; raises as :func:`read_region`."""
    if manifest.region is None:
        return None
    squashed = manifest.preprocessing.fit == "squash"
    size = manifest.preprocessing.size if squashed else None  # otherwise map sizes vary
    mask = read_region(folder, manifest.region, size)
    return Region.of(mask, manifest.configuration)
