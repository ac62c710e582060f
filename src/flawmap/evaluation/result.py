"""Result of an evaluation: metrics, one row per image, and warnings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flawmap.data.layouts import Dataset, Sample
from flawmap.data.samples import plural
from flawmap.evaluation.metrics import Metrics
from flawmap.evaluation.metrics.catalogue import METRICS
from flawmap.evaluation.report.data import ImageRow


@dataclass(frozen=True)
class Evaluation:
    """Metrics (the keys of ``evaluate --json``), one row per image, and warnings.

    ``rows`` is empty if ``distances`` were measured, as they have no thresholds.
    """

    dataset: Dataset
    samples: tuple[Sample, ...]
    metrics: Metrics
    rows: tuple[ImageRow, ...]
    seconds: float
    warnings: tuple[str, ...]
    milliseconds: float | None = None
    """Median time per image, from decoding to verdict."""
    distances: tuple[int, ...] = ()
    calibrated: int = 0
    """Number of images that set the thresholds: metrics include them, verdict rates must not."""
    mask_notes: tuple[str, ...] = ()
    """The warnings about masks; ``evaluate --json`` writes these and the others as two notes."""

    def to_dict(self) -> dict[str, Any]:
        """Return the object that ``evaluate --json`` writes."""
        notes = dict(self.metrics.notes)
        if self.distances:
            notes["read_out"] = f"product of the distances at levels {levels_text(self.distances)}"
        if self.calibrated:
            notes["calibration_images"] = (
                f"image-level metrics include {plural(self.calibrated, 'image(s)')} that set the "
                "thresholds; rates of verdicts leave them out"
            )
        if others := [line for line in self.warnings if line not in self.mask_notes]:
            notes["images"] = " ".join(others)
        if self.mask_notes:
            notes["masks"] = " ".join(self.mask_notes)
        return {
            **{key: self.metrics[key] for key in METRICS},
            "images": self.metrics.images,
            "instances": self.metrics.instances,
            "seconds": round(self.seconds, 3),
            "notes": notes,
        }


def levels_text(levels: Sequence[int]) -> str:
    return ", ".join(str(level) for level in levels)
