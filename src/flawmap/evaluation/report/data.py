"""Content of a report: plain frozen data, gathered by the caller."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from flawmap.inspection.record import InspectionRecord, WithRecord
from flawmap.types import Label

Curve = tuple[NDArray[np.floating[Any]], NDArray[np.floating[Any]]]


@dataclass(frozen=True)
class ImageRow(WithRecord):
    """One image of the evaluation: the inspector's record, and the label of the image.

    A record with an `error` has no score, p-value and verdict.
    `calibrated`: the image set the thresholds, `outside`: all its defects lie outside the region of
    interest. The verdict of either counts in no rate.
    """

    record: InspectionRecord
    label: Label
    defect_type: str | None
    calibrated: bool = False
    outside: bool = False

    @property
    def counts_as(self) -> Label:
        """Label that the metrics use: without a defect in the region of interest, it is good."""
        return "good" if self.outside else self.label

    @property
    def path(self) -> str:
        """Path of the image, relative to the data set."""
        return cast(str, self.record.path)

    @property
    def error(self) -> str | None:
        """Why the image could not be inspected, in one line."""
        return self.record.error


@dataclass(frozen=True, eq=False)
class Panel:
    """One image of the gallery, with map and masks.

    Shapes: `image` uint8 (H, W, 3); `anomaly_map` float32 (H, W); `mask` uint8 {0, 1} (H, W),
    the ground truth, or None where there is none; `predicted` uint8 {0, 1} (H, W). With a memory
    of good images `unfamiliar` float32 (H, W) in 0..1 is the map of it alone, and
    `least_familiar` its score in 0..1. Maps and masks are resized to the size of the image.
    """

    row: ImageRow
    image: NDArray[np.uint8]
    anomaly_map: NDArray[np.float32]
    mask: NDArray[np.uint8] | None
    predicted: NDArray[np.uint8]
    unfamiliar: NDArray[np.float32] | None = None
    least_familiar: float | None = None


@dataclass(frozen=True, eq=False)
class ReportData:
    """Everything the report shows; nothing in it is computed from images again.

    `metrics`: the keys of `evaluate --json`, None where undefined, with the reason in `notes`.
    `panels`: most wrong first; the caller caps their number, which determines the file's size.
    `thresholds`: `review` and `reject` for the image score, `pixel` for the anomaly map.
    `curves`: (x, y) under `image_roc`, `image_pr`, `pixel_roc`, `pixel_pr`; any may be absent.
    ROC is false-positive rate against recall, PR is recall against precision.
    `training_log`: lines with `step`, `phase`, `loss`, and where known `images_per_s` and
    `seconds` (since training began); lines without a loss are skipped.
    """

    title: str
    product: str
    metrics: Mapping[str, float | int | None]
    notes: Mapping[str, str]
    rows: Sequence[ImageRow]
    panels: Sequence[Panel]
    thresholds: Mapping[str, float]
    guarantee: str
    curves: Mapping[str, Curve] = field(default_factory=dict)
    training_log: Sequence[Mapping[str, Any]] = ()
    configuration: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    warnings: Sequence[str] = ()
