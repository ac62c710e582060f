"""Result of an evaluator: every metric of the catalogue, or the reason why it is undefined."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from flawmap.evaluation.metrics import ranking
from flawmap.evaluation.metrics.catalogue import METRICS, Level
from flawmap.evaluation.metrics.counts import Floats, Steps


@dataclass(frozen=True, eq=False)
class Metrics:
    """Metrics of one test set by key: `metrics["pixel_ap"]`; fractions in 0..1.

    A value is None where the metric is undefined, with the reason in `notes`.
    """

    images: int
    instances: int
    values: Mapping[str, float | None]
    pixel_error_bound: Mapping[str, float] = field(default_factory=dict)
    """Proven bound on the error of each metric computed from pixels: 0 unless there were so many
    distinct scores that bits were dropped."""
    notes: Mapping[str, str] = field(default_factory=dict)
    curves: Mapping[str, Floats] = field(default_factory=dict)
    """`image_roc`, `image_pr`, `pixel_roc` and `pixel_pr` where defined: (n, 2) with n <= 500, as
    (false positive rate, true positive rate) or (recall, precision)."""
    instance_precision: Floats = field(default_factory=lambda: np.empty(0))
    """(N,) input of `instance_average_precision` for any other recall."""

    def __getitem__(self, key: str) -> float | None:
        """Value of a metric; KeyError if the catalogue has no metric of that key."""
        return self.values[key]

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the arrays, ready for JSON.

        >>> Metrics(images=0, instances=0, values={"pro": None}).to_dict()["pro"] is None
        True
        """
        return {
            "images": self.images,
            "instances": self.instances,
            **self.values,
            "pixel_error_bound": dict(self.pixel_error_bound),
            "notes": dict(self.notes),
        }


def compute_metrics(
    images: int, image: Steps, pixel: Steps, dropped_bits: int, notes: Mapping[str, str]
) -> Metrics:
    """Compute the catalogue from the counts of images and of pixels; `notes` are added."""
    steps: dict[Level, Steps] = {"image": image, "pixel": pixel, "instance": pixel}
    no_pixels = _why_undefined(pixel, "defect pixel", "background pixel")
    reasons: dict[Level, str] = {
        "image": _why_undefined(image, "defective image", "good image"),
        "pixel": no_pixels,
        "instance": no_pixels,
    }
    bound = {} if no_pixels else _error_bounds(pixel, dropped_bits)
    undefined = {m.key: reasons[m.level] for m in METRICS.values() if reasons[m.level]}
    return Metrics(
        images,
        len(pixel.instances),
        {k: None if k in undefined else m.compute(steps[m.level]) for k, m in METRICS.items()},
        bound,
        undefined | _bound_notes(bound, dropped_bits) | dict(notes),
        {
            f"{level}_{kind}": curve(steps[level])
            for level in ("image", "pixel")
            if not reasons[level]
            for kind, curve in (("roc", ranking.roc_curve), ("pr", ranking.precision_recall_curve))
        },
        np.empty(0) if no_pixels else pixel.precision[pixel.instances],
    )


def _why_undefined(s: Steps, positive: str, negative: str) -> str:
    if not s.positives and not s.negatives:
        return f"no {positive} and no {negative} was evaluated"
    if not s.positives:
        return f"no {positive} was evaluated: nothing to find"
    if not s.negatives:
        return f"no {negative} was evaluated: nothing to compare defects with"
    return ""


def _error_bounds(pixel: Steps, dropped_bits: int) -> dict[str, float]:
    """Error bounds of the metrics computed from pixels; without those that have no known one."""
    below = [metric for metric in METRICS.values() if metric.level != "image"]
    if not dropped_bits:
        return {metric.key: 0.0 for metric in below}
    return {m.key: m.error_bound(pixel) for m in below if m.error_bound is not None}


def _bound_notes(bound: Mapping[str, float], dropped_bits: int) -> dict[str, str]:
    if not bound or not dropped_bits:
        return {}
    note = (
        f"the lowest {dropped_bits} of 32 bits of every pixel score were dropped to bound memory; "
        f"no pixel-level metric is off by more than {max(bound.values()):.1e}"
    )
    unknown = [k for k, m in METRICS.items() if m.level != "image" and k not in bound]
    return {"pixel_error_bound": note + "".join(f"; no bound is known for {k}" for k in unknown)}
