"""Backends by name."""

from __future__ import annotations

from typing import Unpack

from flawmap.errors import FlawmapError, UsageError
from flawmap.runtime.base import Backend, RuntimeOptions

NAMES = ("onnxruntime", "openvino")
PRECISIONS = ("float32", "bf16", "int8")


def choose(name: str, device: str = "cpu", precision: str = "float32") -> str:
    """The name of a backend; ``auto``: ONNX Runtime, on which the thresholds were found.

    Where device or precision is one that only OpenVINO has, ``auto`` is OpenVINO.
    """
    if name == "auto":
        everywhere = precision == "float32" and device.lower() in ("cpu", "cuda")
        return "onnxruntime" if everywhere else "openvino"
    if name not in NAMES:
        raise UsageError(f"No backend {name!r}: there are auto, {' and '.join(NAMES)}.")
    return name


def has_bf16_here() -> bool:
    """Whether this processor computes in bf16, and what does it is installed."""
    from flawmap.runtime.openvino import has_bf16

    try:
        return has_bf16()
    except FlawmapError:
        return False


def open_backend(
    graph: bytes, weights: bytes | None = None, **options: Unpack[RuntimeOptions]
) -> Backend:
    """The graph, loaded as :class:`RuntimeOptions` say; OpenVINO's own has ``weights`` apart.

    Raises UsageError for a name or precision that is none, FlawmapError where the backend is not
    installed or cannot load the graph.
    """
    precision = options.get("precision", "float32")
    device = options.get("device", "cpu")
    chosen = choose(options.get("backend", "auto"), device, precision)
    threads = options.get("threads")
    if precision not in PRECISIONS:
        raise UsageError(f"No precision {precision!r}: there are {', '.join(PRECISIONS)}.")
    if threads is not None and threads < 1:
        raise UsageError(f"{threads} threads cannot run anything: give 1 or more.")
    if chosen == "openvino":
        from flawmap.runtime.openvino import OpenVino

        return OpenVino(graph, weights, threads, device, precision)
    if precision == "bf16":
        raise UsageError("ONNX Runtime has no bf16: use openvino.")
    from flawmap.runtime.onnxruntime import OnnxRuntime

    return OnnxRuntime(graph, threads, device)
