"""Values inside a run's graph that it does not give out by itself."""

from __future__ import annotations

from flawmap.errors import FlawmapError


def giving_out(graph: bytes, name: str) -> bytes | None:
    """The graph with its inner value ``name`` as one more output; None where it has none such.

    Raises FlawmapError where the onnx package is not installed.
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
    found: bytes = model.SerializeToString()
    return found
