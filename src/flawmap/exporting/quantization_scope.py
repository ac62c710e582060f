"""Select which convolutions to quantise: from nearly all down to the robust ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import onnx

_CONVOLUTIONS = ("Conv", "ConvTranspose")
_TEACHER = "module.teacher."  # prefix of the backbone's weights: InferenceGraph's attribute path


@dataclass(frozen=True)
class Scope:
    """A set of convolutions to quantise; ``float32`` names the nodes that stay in float32."""

    what: str
    float32: frozenset[str]


@dataclass(frozen=True)
class _Convolution:
    name: str
    teacher: bool
    compared: bool
    """Whether it belongs to teacher or student, whose outputs are compared."""
    stem: bool
    """Whether it reads the image: no other convolution precedes it."""
    pointwise: bool
    height: int


def scopes(graph: onnx.ModelProto) -> list[Scope]:
    """List ever smaller scopes of a method's graph; the first within the limits is the fastest.

    No scope includes the read-out's one-channel filters or the networks' first convolutions:
    quantised to 8 bits, pixels lose half a grey level, which affects all later layers.
    The layers that compare teacher and student, and those that segment, need more precision than
    the two networks. Within the networks, the most sensitive are the finest level, whose distances
    are small on good parts, and the student's 1x1 convolutions, which bring its features to the
    next level or the teacher's scale. (Measured by quantising one layer at a time.)
    """
    convolutions = _convolutions(graph)
    finest = max((one.height for one in convolutions if one.compared and not one.stem), default=0)

    def scope(what: str, includes: Callable[[_Convolution], bool]) -> Scope:
        unquantised = (one.name for one in convolutions if one.stem or not includes(one))
        read_out = _names(graph) - {one.name for one in convolutions}
        return Scope(what, frozenset(unquantised) | read_out)

    def robust(one: _Convolution) -> bool:
        return one.teacher or not (one.pointwise or one.height >= finest)

    wanted = [scope("all convolutions but the stems", lambda one: True)]
    if any(one.compared and not one.teacher for one in convolutions):
        wanted += [
            scope(
                "teacher's convolutions, and the student's 3x3 but for its finest level",
                lambda one: one.compared and robust(one),
            ),
            scope("teacher's convolutions", lambda one: one.teacher),
            scope(
                "teacher's convolutions but for its finest level",
                lambda one: one.teacher and one.height < finest,
            ),
        ]
    return wanted


def _convolutions(graph: onnx.ModelProto) -> list[_Convolution]:
    """List all convolutions with weights of their own, except the read-out's."""
    shaped = onnx.shape_inference.infer_shapes(graph).graph
    weights = {tensor.name: tensor for tensor in shaped.initializer}
    heights = {
        value.name: value.type.tensor_type.shape.dim[2].dim_value
        for value in shaped.value_info
        if len(value.type.tensor_type.shape.dim) == 4
    }
    compared = _leading_to("distances", shaped)
    weighted = _names(graph)
    convolutions = []
    for node in shaped.node:
        if node.op_type not in _CONVOLUTIONS or node.input[1] not in weights:
            continue
        channels = weights[node.input[1]].dims[1 if node.op_type == "Conv" else 0]
        if channels > 1:
            convolutions.append(
                _Convolution(
                    name=node.name,
                    teacher=node.input[1].startswith(_TEACHER),
                    compared=node.name in compared,
                    stem=not _leading_to(node.input[0], shaped) & weighted,
                    pointwise=weights[node.input[1]].dims[2] == 1,
                    height=heights.get(node.output[0], 0),
                )
            )
    return convolutions


def _names(graph: onnx.ModelProto) -> set[str]:
    return {node.name for node in graph.graph.node if node.op_type in _CONVOLUTIONS}


def _leading_to(value: str, graph: onnx.GraphProto) -> set[str]:
    """Return the names of all nodes that a value depends on; empty if the graph lacks it."""
    makers = {name: node for node in graph.node for name in node.output}
    names: set[str] = set()
    waiting = [value]
    while waiting:
        node = makers.get(waiting.pop())
        if node is not None and node.name not in names:
            names.add(node.name)
            waiting.extend(node.input)
    return names
