"""Post-training quantisation of convolutions to 8-bit integers; the rest stays unchanged."""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections import deque
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flawmap.errors import FlawmapError
from flawmap.runtime.openvino import shared_core

_CONVOLUTIONS = ("Convolution", "ConvolutionBackpropData")  # as OpenVINO calls them


def quantise_onnx(graph: bytes, images: NDArray[np.uint8], float32: Collection[str]) -> bytes:
    """Quantise with ONNX Runtime's static quantiser, weights per channel.

    ``images`` (N, h, w, 3) set the ranges; ``float32`` names the nodes that are not quantised.
    """
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._rest: Iterator[NDArray[np.uint8]] = iter(images)

        def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
            image = next(self._rest, None)
            return None if image is None else {"images": image[None]}

    with tempfile.TemporaryDirectory() as folder, _quiet():
        plain, prepared, done = (Path(folder) / name for name in ("a.onnx", "b.onnx", "c.onnx"))
        plain.write_bytes(graph)
        quant_pre_process(str(plain), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(done),
            Reader(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "ConvTranspose", "Relu"],
            nodes_to_exclude=list(float32),
            per_channel=True,
            reduce_range=True,  # else processors without VNNI overflow
            weight_type=QuantType.QInt8,
            activation_type=QuantType.QUInt8,
        )
        return done.read_bytes()


def quantise_openvino(graph: bytes, images: NDArray[np.uint8], float32: Collection[str]) -> Any:
    """Quantise with NNCF; arguments as in :func:`quantise_onnx`. Return OpenVINO's model."""
    try:
        import nncf
    except ImportError as error:
        raise FlawmapError(
            "INT8 for OpenVINO needs nncf: pip install 'flawmap[int8]'; or export --to onnx."
        ) from error
    from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters, OverflowFix

    model = shared_core().read_model(graph)
    others = {node.get_type_name() for node in model.get_ops()} - {*_CONVOLUTIONS}
    with _quiet():
        return nncf.quantize(
            model,
            nncf.Dataset([image[None] for image in images]),
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(images),
            ignored_scope=nncf.IgnoredScope(
                names=_openvino_names(model, graph, float32), types=sorted(others), validate=False
            ),
            # As above: the inspector may run on a processor other than the one that exported it.
            advanced_parameters=AdvancedQuantizationParameters(overflow_fix=OverflowFix.ENABLE),
        )


def _openvino_names(model: Any, graph: bytes, nodes: Collection[str]) -> list[str]:
    """Return OpenVINO's names of these nodes' convolutions; there, the bias is a separate node."""
    import onnx

    made_by = {name: port.get_node() for op in model.get_ops() for port in op.outputs()
               for name in port.get_names()}  # fmt: skip
    names = []
    for node in onnx.load_model_from_string(graph).graph.node:
        if node.name in nodes and node.output[0] in made_by:
            names += _convolution_above(made_by[node.output[0]])
    return names


def _convolution_above(op: Any) -> list[str]:
    """Return the name of the convolution that computes ``op``; none if it was folded away."""
    waiting = deque([op])
    while waiting:
        nearest = waiting.popleft()
        if nearest.get_type_name() in _CONVOLUTIONS:
            return [nearest.get_friendly_name()]
        waiting += (port.get_node() for port in nearest.input_values())
    return []


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the verbose output of both quantisers; errors are still raised."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(None):
            yield
    finally:
        logging.disable(before)
