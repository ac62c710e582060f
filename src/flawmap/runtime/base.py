"""What runs the inference graph: one small interface, whatever the library behind it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, TypedDict

import numpy as np
from numpy.typing import NDArray

from flawmap.errors import FlawmapError


class RuntimeOptions(TypedDict, total=False):
    """Where and how a graph runs; what is left out is chosen.

    ``backend``: ``onnxruntime``, ``openvino``, or ``auto``: the first where it can. ``precision``:
    ``float32``; ``bf16`` with OpenVINO, where ``flawmap export --to openvino`` was run; ``int8``
    where ``flawmap export --int8`` was.
    ``device``: ``cpu``; ``cuda`` with ONNX Runtime; ``GPU`` or ``NPU`` with OpenVINO. ``threads``:
    of the processor, all by default.
    """

    backend: str
    precision: str
    device: str
    threads: int | None


Images = NDArray[np.uint8]
Found = tuple[NDArray[np.float32], NDArray[np.float32]]


class Backend(ABC):
    """A loaded graph. Calling it from several threads at once is safe."""

    name: ClassVar[str]

    @property
    @abstractmethod
    def size(self) -> tuple[int, int]:
        """Height and width of the images it takes."""

    @abstractmethod
    def __call__(self, images: Images) -> Found:
        """Images (B, h, w, 3) uint8 RGB of the working size -> maps (B, h, w), scores (B,)."""

    def warm_up(self, batch: int = 1) -> None:
        """Two calls on black images, so that the first true one is as fast as the rest."""
        black = np.zeros((batch, *self.size, 3), np.uint8)
        for _ in range(2):
            self(black)


def sound(answers: Sequence[Any], count: int, size: tuple[int, int]) -> Found:
    """Maps and scores of ``count`` images; FlawmapError where a graph gave something else.

    A score that is no number lies above no threshold, and its part would pass for good.
    """
    maps, scores = answers
    for found, shape in ((maps, (count, *size)), (scores, (count,))):
        if not isinstance(found, np.ndarray) or (found.dtype, found.shape) != (np.float32, shape):
            raise FlawmapError(f"This graph is no inspector's: it does not give {shape} float32.")
        if not np.isfinite(found).all():
            raise FlawmapError(
                "The graph's map or score is not a finite number: it was changed, or training went "
                "astray. Copy the run folder again, or train anew with another --seed."
            )
    return maps, scores
