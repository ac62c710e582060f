"""Run images through the model: tiles in small batches, whose maps are blended as they arrive."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flawmap.data.resize import Framing, PaddedImage
from flawmap.inspection.blending import Blend
from flawmap.inspection.scoring import Scoring
from flawmap.runtime.base import Backend

_PIXELS = 4 * 256 * 256  # limit of a batch of tiles, unless more are requested


class RawPrediction(NamedTuple):
    """Output of the model for an image: map float32 (H, W), of the layout's map size, and score."""

    anomaly_map: NDArray[np.float32]
    score: float


@dataclass(frozen=True)
class TiledInference:
    """Framing and scoring with which an inspector's model runs, on any backend."""

    framing: Framing
    scoring: Scoring

    @classmethod
    def of(cls, framing: Framing, configuration: Mapping[str, Any]) -> TiledInference:
        """Create from a framing and the method's configuration."""
        return cls(framing, Scoring.of(configuration))

    def __call__(
        self, model: Backend, images: Iterable[PaddedImage], batch: int = 1
    ) -> Iterator[RawPrediction]:
        """Yield the model's output for each image, in order.

        The score is that of the highest-scoring tile. ``batch``: tiles in a batch, more if they are
        small. Only one image's map is in memory at any time.
        """
        height, width = self.framing.size
        count = max(batch, _PIXELS // (height * width))
        tiles = ((image, index) for image in images for index in range(image.layout.count))
        while some := list(itertools.islice(tiles, count)):
            maps, scores = model(np.stack([image.tile(index) for image, index in some]))
            for (image, index), tile_map, score in zip(some, maps, scores, strict=True):
                if index == 0:
                    blend, highest = Blend(image.layout), -np.inf
                blend.add(index, tile_map)
                highest = max(highest, self._score(image, tile_map, float(score)))
                if index == image.layout.count - 1:
                    yield RawPrediction(blend.result(), highest)

    def one(self, model: Backend, image: NDArray[np.uint8]) -> RawPrediction:
        """Return the model's output for one image (H, W, 3)."""
        return next(self(model, [self.framing.preprocess(image)]))

    def _score(self, image: PaddedImage, tile_map: NDArray[np.float32], score: float) -> float:
        """Return the model's score of a tile, without the contribution of padding.

        It may depend on more than the map, so it is scaled down as the map's own score is.
        """
        layout = image.layout
        if not layout.padded:
            return score
        return score * self.scoring.share(tile_map[layout.image_in_tile], tile_map)
