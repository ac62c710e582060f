"""What an evaluation found."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from flawmap.evaluation.metrics.counting.tally import Floats


@dataclass(frozen=True, eq=False)
class Figures:
    """Figures of one test set, fractions in 0..1; None where undefined, with a reason in `notes`.

    `pixel_error_bound` gives, for each pixel-level figure that is defined, a proven bound on its
    distance from the exact one: 0 unless so many distinct scores came in that bits were dropped.
    `curves` has, where defined, `image_roc`, `image_pr`, `pixel_roc` and `pixel_pr`: float64
    (n, 2) with n <= 500, as (false positive rate, true positive rate) or (recall, precision).
    `instance_precision` (N,) is the input of `instance_average_precision` for any other recall.
    """

    images: int
    instances: int
    image_auroc: float | None = None
    image_ap: float | None = None
    image_f1max: float | None = None
    pixel_auroc: float | None = None
    pixel_ap: float | None = None
    pixel_f1max: float | None = None
    pro: float | None = None
    iap: float | None = None
    iap90: float | None = None
    pixel_error_bound: dict[str, float] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    curves: dict[str, Floats] = field(default_factory=dict)
    instance_precision: Floats = field(default_factory=lambda: np.empty(0))

    def to_dict(self) -> dict[str, Any]:
        """Everything but the arrays, ready for JSON.

        >>> Figures(images=0, instances=0).to_dict()["pro"] is None
        True
        """
        arrays = ("curves", "instance_precision")
        kept = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in arrays}
        return {name: dict(v) if isinstance(v, dict) else v for name, v in kept.items()}
