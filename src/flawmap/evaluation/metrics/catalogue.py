"""Catalogue of all metrics: their names, meanings and functions, in the order they are shown.

Everything that lists metrics reads it: `evaluate --json`, the console, the HTML report, the tables
and comparisons of `flawmap bench`, and the documentation. A new metric is one entry here and one
function.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from flawmap.evaluation.metrics import bounds, instances, ranking
from flawmap.evaluation.metrics.counts import Steps

Level = Literal["image", "pixel", "instance"]

LEVELS: dict[Level, str] = {
    "image": "Distinguishing defective images from good ones",
    "pixel": "Marking the right pixels",
    "instance": "Detecting every single defect, small ones too",
}
"""What the metrics of each level measure, as titles."""


@dataclass(frozen=True)
class Metric:
    """One metric of a test set."""

    key: str
    """Name in JSON files and in Python."""
    name: str
    """Short display name, such as "image AUROC"."""
    meaning: str
    """A short phrase that says what the value measures."""
    level: Level
    """Counts that it is computed from: of images; of pixels; of pixels, by defect."""
    compute: Callable[[Steps], float]
    """Function of the counts of its level, which hold a positive and a negative at least."""
    error_bound: Callable[[Steps], float] | None = None
    """Proven bound on its error once score bits were dropped; None if none is known, and at image
    level, where no bits are dropped."""
    explanation: str = ""
    """Text for readers of the report; if empty, the meaning. `{share}` becomes the share of
    defective images."""
    higher_is_better: bool = True
    bench: Literal["compared", "table", "none"] = "compared"
    """Where `flawmap bench` shows it: in its tables and comparisons, in tables only, nowhere."""

    @property
    def title(self) -> str:
        """Display name for a heading: capitalised, with an arrow down if lower is better."""
        return self.head[:1].upper() + self.head[1:]

    @property
    def head(self) -> str:
        """Display name for a table head, with an arrow down if lower is better."""
        return self.name if self.higher_is_better else f"{self.name} ↓"


_METRICS = (
    Metric(
        "image_auroc",
        "image AUROC",
        "defective images score above good ones",
        "image",
        ranking.auroc,
        explanation="How often a defective image scores above a good one, over all such pairs. "
        "0.5 is guessing, 1 is perfect.",
    ),
    Metric(
        "image_ap",
        "image AP",
        "average precision over images",
        "image",
        ranking.average_precision,
        explanation="How pure a list of images, highest score first, stays as it is read down. "
        "Guessing gives the share of defective images{share}; 1 is perfect.",
        bench="table",
    ),
    Metric(
        "image_f1max",
        "image F1-max",
        "best F1 over images",
        "image",
        ranking.f1_max,
        explanation="The best balance of caught defects and false alarms that any one threshold "
        "could have given on these very images. 0 to 1.",
        bench="none",
    ),
    Metric(
        "pixel_auroc",
        "pixel AUROC",
        "defective pixels score above good ones",
        "pixel",
        ranking.auroc,
        bounds.auroc_error,
        "How often a defective pixel scores above a good one. 0.5 is guessing, 1 is perfect; "
        "high values come easily, since most pixels are plain background.",
    ),
    Metric(
        "pixel_ap",
        "pixel AP",
        "average precision over pixels",
        "pixel",
        ranking.average_precision,
        bounds.average_precision_error,
        "How pure the marked area stays as more of the defects is marked. "
        "Guessing gives the share of defective pixels, usually below 0.05; 1 is perfect.",
    ),
    Metric(
        "pixel_f1max",
        "pixel F1-max",
        "best F1 over pixels",
        "pixel",
        ranking.f1_max,
        bounds.f1_max_error,
        "The best overlap of marked and true area (Dice) that any one threshold could have "
        "given on these very images. 0 to 1.",
        bench="none",
    ),
    Metric(
        "pro",
        "PRO",
        "share of each defect covered, up to 30 % false positives",
        "instance",
        instances.per_region_overlap,
        bounds.per_region_overlap_error,
        "Mean covered share of each defect, small and large counting alike, while at most "
        "30\u00a0% of the good area is marked. 0 to 1.",
    ),
    Metric(
        "iap",
        "IAP",
        "pixel precision where half of each defect is marked",
        "instance",
        instances.iap,
        bounds.iap_error,
        "How pure the marked area is, averaged over the shares of defects detected; a defect is "
        "detected when more than half of it is marked. 0 to 1.",
    ),
    Metric(
        "iap90",
        "IAP90",
        "pixel precision where 90 % of the defects are half marked",
        "instance",
        instances.iap90,
        bounds.iap90_error,
        "How pure the marked area is once the threshold is low enough to detect 90\u00a0% of all "
        "defects. 0 to 1.",
    ),
)

METRICS: dict[str, Metric] = {metric.key: metric for metric in _METRICS}
"""All metrics by key; `evaluate --json` writes them in this order."""


def table_metrics() -> tuple[Metric, ...]:
    """Metrics that the table of `flawmap bench` shows."""
    return tuple(metric for metric in METRICS.values() if metric.bench != "none")


def compared_metrics() -> tuple[Metric, ...]:
    """Metrics that `flawmap bench compare` compares."""
    return tuple(metric for metric in METRICS.values() if metric.bench == "compared")
