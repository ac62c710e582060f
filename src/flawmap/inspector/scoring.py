"""From an anomaly map to an image score, as the method's configuration says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


@dataclass(frozen=True)
class Scoring:
    """Mean of the ``top_pixels`` highest values of the map blurred by ``score_sigma`` pixels."""

    top_pixels: int = 1
    score_sigma: float = 0.0

    @classmethod
    def of(cls, configuration: Mapping[str, Any]) -> Scoring:
        """From the method's configuration."""
        top = int(configuration.get("top_pixels", 1))
        return cls(top, float(configuration.get("score_sigma", 0.0)))

    def __call__(
        self, anomaly_map: NDArray[np.float32], inside: NDArray[np.bool_] | None = None
    ) -> float:
        """Score of a map (h, w); ``inside`` (h, w): where values count."""
        blurred = anomaly_map
        if self.score_sigma > 0.0:
            blurred = ndimage.gaussian_filter(anomaly_map, self.score_sigma, mode="nearest")
        values = blurred.ravel() if inside is None else blurred[inside]
        count = min(self.top_pixels, values.size)
        return float(np.partition(values, -count)[-count:].mean())

    def share(self, part: NDArray[np.float32], whole: NDArray[np.float32]) -> float:
        """What is left of the score of the ``whole`` map where a ``part`` of it alone counts."""
        highest = self(whole)
        return min(1.0, self(part) / highest) if highest > 0.0 else 1.0
