"""Alternative read-out of the model: only its memory of good images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from flawmap.runtime.inner_values import with_output
from flawmap.runtime.onnxruntime import OnnxRuntime

_NAME = "unfamiliar"


class MemoryGraph(OnnxRuntime):
    """Maps of unfamiliarity in 0..1, and as score the mean of each map's highest few values."""

    @classmethod
    def within(cls, graph: bytes) -> MemoryGraph | None:
        """Load the memory from an inspector's model; None if it has no memory.

        Raises FlawmapError if the onnx package is not installed.
        """
        extended = with_output(graph, _NAME)
        return None if extended is None else cls(extended)

    def __call__(
        self, images: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Images (B, h, w, 3) uint8 of the working size -> maps (B, h, w), scores (B,)."""
        import torch  # installed with onnx, which with_output requires

        from flawmap.methods.modules.blocks import upsample
        from flawmap.methods.normality.memory import least_familiar

        small = torch.tensor(self._run([_NAME], images)[0])
        large = upsample(small, self.size)[:, 0]
        return large.numpy(), least_familiar(small).numpy()
