"""Photographs through a graph: windows in small batches, their maps put together as they come."""

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

_PIXELS = 4 * 256 * 256  # of windows that go through the graph at once, unless more are asked for

Seen = tuple[NDArray[np.float32], float]


@dataclass(frozen=True)
class Look:
    """How an inspector's graph sees photographs, whatever runs it."""

    framing: Framing
    scoring: Scoring

    @classmethod
    def of(cls, framing: Framing, configuration: Mapping[str, Any]) -> Look:
        """With the method's configuration."""
        return cls(framing, Scoring.of(configuration))

    def __call__(
        self, graph: Backend, canvases: Iterable[Canvas], at_once: int = 1
    ) -> Iterator[Seen]:
        """Map of the layout's map size and score of each photograph, in order.

        The score is that of its highest window. ``at_once``: windows that go through the graph
        together, more where they are small. Only one photograph's map is held at any time.
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
        """Map and score of one photograph (H, W, 3)."""
        return next(self(graph, [self.framing.lay(image)]))

    def _score(self, canvas: Canvas, found: NDArray[np.float32], score: float) -> float:
        """The graph's own, without what padding has in it.

        It may hold more than the map does, so it is lowered as the map's highest values are.
        """
        layout = canvas.layout
        return score * self.scoring.share(found[layout.shown], found) if layout.padded else score
