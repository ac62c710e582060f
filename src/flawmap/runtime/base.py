"""Common interface of the runtimes that execute the inference model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, TypedDict

import numpy as np
from numpy.typing import NDArray

from flawmap.errors import FlawmapError


class RuntimeOptions(TypedDict, total=False):
    """Where and how a model runs; options that are left out are chosen automatically.

    ``backend``: ``onnxruntime``, ``openvino``, or ``auto``: the first one where possible.
    ``precision``: ``float32``; ``bf16`` with OpenVINO, after ``flawmap export --to openvino``;
    ``int8`` after ``flawmap export --int8``. ``device``: ``cpu``; ``cuda`` with ONNX Runtime;
    ``GPU`` or ``NPU`` with OpenVINO. ``threads``: CPU threads, by default one a core, or
    OMP_NUM_THREADS.
    """

    backend: str
    precision: str
    device: str
    threads: int | None


Images = NDArray[np.uint8]
Outputs = tuple[NDArray[np.float32], NDArray[np.float32]]


class Backend(ABC):
    """Loaded model. Calls from several threads at once are safe."""

    name: ClassVar[str]

    @property
    @abstractmethod
    def size(self) -> tuple[int, int]:
        """Height and width of the input images."""

    @abstractmethod
    def __call__(self, images: Images) -> Outputs:
        """Images (B, h, w, 3) uint8 RGB of the working size -> maps (B, h, w), scores (B,)."""

    def warm_up(self, batch: int = 1) -> None:
        """Run twice on black images, so that the first real call is as fast as the rest."""
        black = np.zeros((batch, *self.size, 3), np.uint8)
        for _ in range(2):
            self(black)


def check_outputs(outputs: Sequence[Any], count: int, size: tuple[int, int]) -> Outputs:
    """Check maps and scores of ``count`` images; raise FlawmapError for any other output.

    A NaN score exceeds no threshold, so its part would pass as good.
    """
    maps, scores = outputs
    for array, shape in ((maps, (count, *size)), (scores, (count,))):
        if not isinstance(array, np.ndarray) or (array.dtype, array.shape) != (np.float32, shape):
            raise FlawmapError(
                f"Not an inspector's graph: an output is not float32 of shape {shape}."
            )
        if not np.isfinite(array).all():
            raise FlawmapError(
                "The graph's map or score is not a finite number: the file was changed, or "
                "training diverged. Copy the run folder again, or train again with another --seed."
            )
    return maps, scores
