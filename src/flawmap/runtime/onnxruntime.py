"""ONNX Runtime backend: CPU, or GPU if its CUDA package is installed."""

from __future__ import annotations

from typing import ClassVar, cast

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from flawmap.errors import FlawmapError
from flawmap.runtime.base import Backend, Images, Outputs, check_outputs
from flawmap.utils.hardware import default_threads

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
# No TF32, as thresholds are computed in float32: TF32 keeps only 10 of its 23 mantissa bits.
_PROVIDER_OPTIONS = {"CUDAExecutionProvider": {"use_tf32": "0"}}


class OnnxRuntime(Backend):
    """Model on ONNX Runtime."""

    name: ClassVar[str] = "onnxruntime"

    def __init__(self, graph: bytes, threads: int | None = None, device: str = "cpu") -> None:
        self._session = open_session(graph, threads, device)
        self._size = _image_size(self._session)

    @property
    def size(self) -> tuple[int, int]:
        return self._size

    def __call__(self, images: Images) -> Outputs:
        return check_outputs(self._run(["map", "score"], images), len(images), self._size)

    def _run(self, names: list[str], images: Images) -> list[NDArray[np.float32]]:
        """Return values of the graph by name; nodes not needed for them are not computed."""
        options = ort.RunOptions()
        options.only_execute_path_to_fetches = True
        try:
            values = self._session.run(names, {"images": np.ascontiguousarray(images)}, options)
        except Exception as error:
            raise _failed("run", error) from error
        return cast(list[NDArray[np.float32]], values)


def open_session(
    graph: bytes, threads: int | None = None, device: str = "cpu"
) -> ort.InferenceSession:
    """Open an ONNX Runtime session for a model; raise FlawmapError if it cannot be loaded."""
    provider = _PROVIDERS.get(device.lower())
    if provider is None or provider not in ort.get_available_providers():
        available = [
            name for name, known in _PROVIDERS.items() if known in ort.get_available_providers()
        ]
        raise FlawmapError(
            f"ONNX Runtime has no device {device!r} here, only {', '.join(available)}. For an "
            "NVIDIA GPU: pip install onnxruntime-gpu"
        )
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads or default_threads()
    try:
        chosen = (provider, _PROVIDER_OPTIONS.get(provider, {}))
        return ort.InferenceSession(graph, options, providers=[chosen])
    except Exception as error:
        raise _failed("load", error) from error


def _failed(what: str, error: Exception) -> FlawmapError:
    """Wrap an error of ONNX Runtime, whose error types share no base but Exception."""
    reason = (str(error).splitlines() or [type(error).__name__])[0][:300]
    return FlawmapError(f"ONNX Runtime {ort.__version__} cannot {what} the graph: {reason}")


def _image_size(session: ort.InferenceSession) -> tuple[int, int]:
    """Return height and width of the input; raise FlawmapError if it takes no images."""
    given = [(one.name, one.type, len(one.shape)) for one in session.get_inputs()]
    if given == [("images", "tensor(uint8)", 4)]:
        _, height, width, _ = session.get_inputs()[0].shape
        if isinstance(height, int) and isinstance(width, int):
            return height, width
    raise FlawmapError("Not an inspector's graph: its input is not uint8 images of one size.")
