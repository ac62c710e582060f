"""ONNX Runtime: on the processor; on a GPU where its CUDA package is installed."""

from __future__ import annotations

from typing import ClassVar, cast

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from flawmap.backends.base import Backend, Found, Images
from flawmap.errors import FlawmapError
from flawmap.hardware import available_cores

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class OnnxRuntime(Backend):
    """The graph on ONNX Runtime."""

    name: ClassVar[str] = "onnxruntime"

    def __init__(self, graph: bytes, threads: int | None = None, device: str = "cpu") -> None:
        self._session = open_session(graph, threads, device)

    @property
    def size(self) -> tuple[int, int]:
        _, height, width, _ = self._session.get_inputs()[0].shape
        return int(height), int(width)

    def __call__(self, images: Images) -> Found:
        maps, scores = self._run(["map", "score"], images)
        return maps, scores

    def _run(self, names: list[str], images: Images) -> list[NDArray[np.float32]]:
        """Values of the graph by name; what does not lead to them is not computed."""
        options = ort.RunOptions()
        options.only_execute_path_to_fetches = True
        found = self._session.run(names, {"images": np.ascontiguousarray(images)}, options)
        return cast(list[NDArray[np.float32]], found)


def open_session(
    graph: bytes, threads: int | None = None, device: str = "cpu"
) -> ort.InferenceSession:
    """ONNX Runtime's session of a graph; FlawmapError where it cannot load it."""
    provider = _PROVIDERS.get(device.lower())
    if provider not in ort.get_available_providers():
        there = [
            name for name, known in _PROVIDERS.items() if known in ort.get_available_providers()
        ]
        raise FlawmapError(
            f"ONNX Runtime has no device {device!r} here: it has {', '.join(there)}. For an NVIDIA "
            "GPU: pip install onnxruntime-gpu"
        )
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads or available_cores()
    try:
        return ort.InferenceSession(graph, options, providers=[provider])
    except Exception as error:  # ONNX Runtime's own error types share no base but Exception
        reason = str(error).splitlines()[0]
        raise FlawmapError(
            f"ONNX Runtime {ort.__version__} cannot load the graph: {reason}"
        ) from error
