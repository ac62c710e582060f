"""Common interface of the runtimes that execute the inference model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, TypedDict

import numpy as np
from numpy.typing import NDArray

from flawmap.errors import FlawmapError


class RuntimeOptions(TypedDict, total=False):
    """Where and how a model runs; missing options are chosen automatically.

    ``backend``: ``onnxruntime``, ``openvino``, or ``auto``: the first one where possible.
    ``precision``: ``float32``; ``bf16`` with OpenVINO, after ``flawmap export --to openvino``;
    ``int8`` after ``flawmap export --int8``. ``device``: ``cpu``; ``cuda`` with ONNX Runtime;
    ``GPU`` or ``NPU`` with OpenVINO. ``threads``: CPU threads, all cores by default.
    """

    backend: str
    precision: str
    device: str
    threads: int | None


Images = NDArray[np.uint8]
Found = tuple[NDArray[np.float32], NDArray[np.float32]]


class Backend(ABC):
    """Loaded model. Calls from several threads at once are safe."""

    name: ClassVar[str]

    @property
    @abstractmethod
    def size(self) -> tuple[int, int]:
        """Height and width of the input images."""

    @abstractmethod
    def __call__(self, images: Images) -> Found:
        """Images (B, h, w, 3) uint8 RGB of the working size -> maps (B, h, w), scores (B,)."""

    def warm_up(self, batch: int = 1) -> None:
        """Run twice on black images, so that the first real call is as fast as the rest."""
        black = np.zeros((batch, *self.size, 3), np.uint8)
        for _ in range(2):
            self(black)


def sound(answers: Sequence[Any], count: int, size: tuple[int, int]) -> Found:
    """Check maps and scores of ``count`` images; raise FlawmapError for any other output.

    A NaN score exceeds no threshold, so its part would pass as good.
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
