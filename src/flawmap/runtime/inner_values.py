"""Access to internal values of a run's ONNX graph that are not outputs."""

from __future__ import annotations

from flawmap.errors import FlawmapError


def with_output(graph: bytes, name: str) -> bytes | None:
    """Return the graph with its internal value ``name`` as an additional output; None if absent.

    Raises FlawmapError if the onnx package is not installed.
    """
    try:
        import onnx
    except ImportError as error:
        raise FlawmapError(
            f"Reading out {name} needs onnx: pip install 'flawmap[train]'"
        ) from error
    model = onnx.load_from_string(graph)
    if not any(name in node.output for node in model.graph.node):
        return None
    model.graph.output.append(
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
    )
    data: bytes = model.SerializeToString()
    return data
