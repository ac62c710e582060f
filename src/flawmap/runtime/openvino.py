"""OpenVINO backend: any x86 or ARM CPU, and Intel's GPUs and NPUs."""

from __future__ import annotations

import functools
import threading
from typing import Any, ClassVar

import numpy as np

from flawmap.errors import FlawmapError
from flawmap.runtime.base import Backend, Images, Outputs, check_outputs
from flawmap.utils.hardware import default_threads

# Parts of an INT8 model that are not quantised stay in float32.
_HINTS = {"float32": "f32", "int8": "f32", "bf16": "bf16"}


class OpenVino(Backend):
    """Model on OpenVINO, compiled once per batch size.

    ``graph`` is ONNX, or OpenVINO's own XML with separate ``weights``.
    """

    name: ClassVar[str] = "openvino"

    def __init__(
        self,
        graph: bytes,
        weights: bytes | None = None,
        threads: int | None = None,
        device: str = "cpu",
        precision: str = "float32",
    ) -> None:
        self._core = shared_core()
        self._device = device.upper()
        kinds = {name.split(".")[0] for name in self._core.available_devices}
        if self._device.split(".")[0] not in kinds:
            raise FlawmapError(
                f"OpenVINO has no device {device!r} here, only {', '.join(sorted(kinds))}."
            )
        if precision == "bf16" and not has_bf16(self._device):
            raise FlawmapError(f"Device {device} has no bf16 arithmetic: use float32.")
        self._options: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
        }
        if self._device == "CPU":
            self._options["INFERENCE_NUM_THREADS"] = threads or default_threads()
        try:
            self._model = self._core.read_model(graph, weights or b"")
            _, height, width, _ = self._model.inputs[0].partial_shape
            self._size = height.get_length(), width.get_length()
            self._compiled = {1: self._compile(1)}
        except (RuntimeError, ValueError, IndexError) as error:
            raise _failed("load", error) from error
        self._lock = threading.Lock()
        self._requests = threading.local()

    @property
    def size(self) -> tuple[int, int]:
        return self._size

    def __call__(self, images: Images) -> Outputs:
        try:
            request = self._request(len(images))
            request.infer({"images": np.ascontiguousarray(images)})
            # This thread's next call overwrites the request's memory.
            outputs = [request.get_tensor(name).data.copy() for name in ("map", "score")]
        except RuntimeError as error:
            raise _failed("run", error) from error
        return check_outputs(outputs, len(images), self._size)

    def _request(self, batch: int) -> Any:
        """Return this thread's inference request for a batch of this size."""
        mine: dict[int, Any] = self._requests.__dict__.setdefault("by_batch", {})
        if batch not in mine:
            with self._lock:
                if batch not in self._compiled:
                    self._compiled[batch] = self._compile(batch)
            mine[batch] = self._compiled[batch].create_infer_request()
        return mine[batch]

    def _compile(self, batch: int) -> Any:
        """Compile the model for one batch size, so that all its shapes are static."""
        model = self._model.clone()
        model.reshape([batch, *self._size, 3])
        return self._core.compile_model(model, self._device, self._options)


def has_bf16(device: str = "CPU") -> bool:
    """Whether a device computes in bf16."""
    return "BF16" in shared_core().get_property(device, "OPTIMIZATION_CAPABILITIES")


def shared_core() -> Any:
    """Return the single ``openvino.Core`` of this process, which lives as long as the process.

    Each Core sets a signal stack and restores the previous one when destroyed. With two of them,
    the first to be destroyed frees the stack that the other restores: the next signal, such as
    Ctrl-C, then kills the process (OpenVINO 2026.4.1).
    """
    return _core(import_openvino())


@functools.cache
def _core(openvino: Any) -> Any:
    return openvino.Core()


def _failed(what: str, error: Exception) -> FlawmapError:
    reason = str(error).strip().splitlines()[-1][:300]
    return FlawmapError(
        f"OpenVINO {import_openvino().__version__} cannot {what} the graph: {reason}"
    )


def import_openvino() -> Any:
    """Import the package; raise FlawmapError if it is not installed."""
    try:
        import openvino
    except ImportError as error:
        raise FlawmapError(
            "OpenVINO is not installed: pip install 'flawmap[openvino]', or --backend onnxruntime"
        ) from error
    return openvino
