"""Selection of backends by name."""

from __future__ import annotations

from typing import Unpack

from flawmap.errors import FlawmapError, UsageError
from flawmap.runtime.base import Backend, RuntimeOptions

NAMES = ("onnxruntime", "openvino")
PRECISIONS = ("float32", "bf16", "int8")


def choose(name: str, device: str = "cpu", precision: str = "float32") -> str:
    """Return the name of a backend; ``auto`` is ONNX Runtime, which computed the thresholds.

    If only OpenVINO supports the device or precision, ``auto`` is OpenVINO.
    """
    if name == "auto":
        everywhere = precision == "float32" and device.lower() in ("cpu", "cuda")
        return "onnxruntime" if everywhere else "openvino"
    if name not in NAMES:
        raise UsageError(f"Unknown backend {name!r}: choose auto, {' or '.join(NAMES)}.")
    return name


def has_bf16_here() -> bool:
    """Whether this CPU computes in bf16 and OpenVINO is installed."""
    from flawmap.runtime.openvino import has_bf16

    try:
        return has_bf16()
    except FlawmapError:
        return False


def open_backend(
    graph: bytes, weights: bytes | None = None, **options: Unpack[RuntimeOptions]
) -> Backend:
    """Load the model according to :class:`RuntimeOptions`; ``weights`` only for OpenVINO's format.

    Raises UsageError for an unknown name or precision, FlawmapError if the backend is not installed
    or cannot load the model.
    """
    precision = options.get("precision", "float32")
    device = options.get("device", "cpu")
    chosen = choose(options.get("backend", "auto"), device, precision)
    threads = options.get("threads")
    if precision not in PRECISIONS:
        raise UsageError(f"Unknown precision {precision!r}: choose one of {', '.join(PRECISIONS)}.")
    if threads is not None and threads < 1:
        raise UsageError(f"Invalid number of threads {threads}: give 1 or more.")
    if chosen == "openvino":
        from flawmap.runtime.openvino import OpenVino

        return OpenVino(graph, weights, threads, device, precision)
    if precision == "bf16":
        raise UsageError("ONNX Runtime has no bf16: use openvino.")
    from flawmap.runtime.onnxruntime import OnnxRuntime

    return OnnxRuntime(graph, threads, device)
