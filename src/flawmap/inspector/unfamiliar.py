"""What a run's memory of good images alone says: its own map and score."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flawmap.backends.onnx_runtime import OnnxRuntime
from flawmap.inspector.graphs import read_graph
from flawmap.inspector.inner_values import giving_out
from flawmap.inspector.inspector import Inspector, load_region
from flawmap.inspector.manifest import read_manifest

_NAME = "unfamiliar"


class MemoryGraph(OnnxRuntime):
    """Maps of how unfamiliar places are, in 0..1, and the mean of each one's highest few."""

    def __call__(
        self, images: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Images (B, h, w, 3) uint8 of the working size -> maps (B, h, w), scores (B,)."""
        import torch  # giving_out has asked for the install that brings it

        from flawmap.methods.blocks import upsample
        from flawmap.methods.normality.memory import least_familiar

        small = torch.tensor(self._run([_NAME], images)[0])
        large = upsample(small, self.size)[:, 0]
        return large.numpy(), least_familiar(small).numpy()


def load_memory(run: Path) -> Inspector | None:
    """Inspector of the folder ``run`` that maps what is unfamiliar; None where it has no memory.

    Its verdicts mean nothing. Raises FlawmapError where the onnx package is not installed.
    """
    manifest = read_manifest(run)
    kind = (manifest.configuration.get("memory") or {}).get("kind", "none")
    if kind == "none":
        return None
    graph = giving_out(read_graph(run, manifest).graph, _NAME)
    if graph is None:
        return None
    return Inspector(manifest, MemoryGraph(graph), load_region(run, manifest))
