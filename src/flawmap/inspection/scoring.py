"""From an anomaly map to an image score, as the method's configuration says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from scipy import ndimage

from flawmap.errors import FlawmapError


class Scoring(BaseModel):
    """Mean of the ``top_pixels`` highest values of the map blurred by ``score_sigma`` pixels."""

    model_config = ConfigDict(frozen=True, strict=True)

    top_pixels: int = Field(1, ge=1)
    score_sigma: float = Field(0.0, ge=0.0, le=1000.0)

    @classmethod
    def of(cls, configuration: Mapping[str, Any]) -> Scoring:
        """From the method's configuration; FlawmapError where it holds no such numbers."""
        try:
            return cls.model_validate(configuration)
        except ValidationError as error:
            first = error.errors()[0]
            raise FlawmapError(
                f"The manifest is damaged at configuration.{first['loc'][0]} "
                f"({first['msg'].lower()}): copy the run folder again, or train anew."
            ) from error

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
