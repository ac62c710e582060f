"""Run images through the model: tiles in small batches, whose maps are blended as they arrive."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flawmap.data.resize import Canvas, Framing
from flawmap.inspection.blending import Blend
from flawmap.inspection.scoring import Scoring
from flawmap.runtime.base import Backend

_PIXELS = 4 * 256 * 256  # of the tiles in a batch, unless more are requested

Seen = tuple[NDArray[np.float32], float]


@dataclass(frozen=True)
class Look:
    """Framing and scoring with which an inspector's model runs, on any backend."""

    framing: Framing
    scoring: Scoring

    @classmethod
    def of(cls, framing: Framing, configuration: Mapping[str, Any]) -> Look:
        """Create from a framing and the method's configuration."""
        return cls(framing, Scoring.of(configuration))

    def __call__(
        self, graph: Backend, canvases: Iterable[Canvas], at_once: int = 1
    ) -> Iterator[Seen]:
        """Yield the map (H, W), of the layout's map size, and the score of each image, in order.

        The score is that of the highest-scoring tile. ``at_once``: tiles in a batch, more if they
        are small. Only one image's map is in memory at any time.
        """
        height, width = self.framing.size
        together = max(at_once, _PIXELS // (height * width))
        windows = ((c, index) for c in canvases for index in range(c.layout.count))
        while some := list(itertools.islice(windows, together)):
            maps, scores = graph(np.stack([canvas.window(index) for canvas, index in some]))
            for (canvas, index), found, score in zip(some, maps, scores, strict=True):
                if index == 0:
                    blend, highest = Blend(canvas.layout), -np.inf
                blend.add(index, found)
                highest = max(highest, self._score(canvas, found, float(score)))
                if index == canvas.layout.count - 1:
                    yield blend.photograph(), highest

    def one(self, graph: Backend, image: NDArray[np.uint8]) -> Seen:
        """Return map and score of one image (H, W, 3)."""
        return next(self(graph, [self.framing.lay(image)]))

    def _score(self, canvas: Canvas, found: NDArray[np.float32], score: float) -> float:
        """Return the model's score of a tile, without the contribution of padding.

        It may depend on more than the map, so it is scaled down as the map's own score is.
        """
        layout = canvas.layout
        return score * self.scoring.share(found[layout.shown], found) if layout.padded else score
