"""Alternative read-out of the model: only the distances between teacher and student."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from flawmap.errors import UsageError
from flawmap.runtime.inner_values import with_output
from flawmap.runtime.onnxruntime import OnnxRuntime

_NAME = "distances"


class DistanceGraph(OnnxRuntime):
    """Maps and scores from the product of the model's distances at ``levels``, 1 the finest.

    Blur, enlargement and score follow the method's configuration for its own map.
    """

    def __init__(self, graph: bytes, levels: Sequence[int], configuration: dict[str, object]):
        if (extended := with_output(graph, _NAME)) is None:
            raise UsageError("This inspector's graph has no distances: train it again.")
        super().__init__(extended)
        self._levels = [level - 1 for level in levels]
        self._smoothing = float(str(configuration.get("smoothing", 0.0)))
        self._guidance = float(str(configuration.get("guidance", 0.0)))
        self._top_pixels = int(str(configuration.get("top_pixels", 1)))

    def __call__(
        self, images: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Images (B, h, w, 3) uint8 of the working size -> maps (B, h, w), scores (B,)."""
        (distances,) = self._run([_NAME], images)
        if max(self._levels) >= distances.shape[1]:
            raise UsageError(
                f"Distances have levels 1 to {distances.shape[1]}: give some of these."
            )
        product = distances[:, self._levels].prod(1)
        maps = self._enlarge(product, images)
        count = min(self._top_pixels, maps[0].size)
        highest = np.partition(maps.reshape(len(maps), -1), -count, axis=1)[:, -count:]
        return maps, highest.mean(1)

    def _enlarge(
        self, small: NDArray[np.float32], images: NDArray[np.uint8]
    ) -> NDArray[np.float32]:
        """Enlarge maps to (B, h, w), the working size, as the model does with its own map."""
        import torch  # installed with onnx, which with_output requires

        from flawmap.methods.modules.upsample import Upsample

        upsample = Upsample(self._smoothing, self._guidance)
        pixels = torch.tensor(images).permute(0, 3, 1, 2).float() / 255
        maps: NDArray[np.float32] = upsample(torch.tensor(small)[:, None], pixels).numpy()
        return maps
