"""Image score from an anomaly map, according to the method's configuration."""

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
        """Read from the method's configuration; raise FlawmapError for invalid values."""
        try:
            return cls.model_validate(configuration)
        except ValidationError as error:
            first = error.errors()[0]
            raise FlawmapError(
                f"The manifest is damaged at configuration.{first['loc'][0]} "
                f"({first['msg'].lower()}): copy the run folder again, or train again."
            ) from error

    def __call__(
        self, anomaly_map: NDArray[np.float32], inside: NDArray[np.bool_] | None = None
    ) -> float:
        """Return the score of a map (h, w); only values where ``inside`` (h, w) is true count."""
        blurred = anomaly_map
        if self.score_sigma > 0.0:
            blurred = ndimage.gaussian_filter(anomaly_map, self.score_sigma, mode="nearest")
        values = blurred.ravel() if inside is None else blurred[inside]
        count = min(self.top_pixels, values.size)
        return float(np.partition(values, -count)[-count:].mean())

    def share(self, part: NDArray[np.float32], whole: NDArray[np.float32]) -> float:
        """Return the fraction of the score of the ``whole`` map that a ``part`` of it reaches."""
        highest = self(whole)
        return min(1.0, self(part) / highest) if highest > 0.0 else 1.0
