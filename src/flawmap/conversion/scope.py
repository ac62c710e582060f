"""Which convolutions may be quantised: from all of the networks' down to the robust ones."""

from __future__ import annotations

from dataclasses import dataclass

import onnx

_CONVOLUTIONS = ("Conv", "ConvTranspose")


@dataclass(frozen=True)
class Scope:
    """``float32``: names of the convolutions' nodes that are left as they are."""

    what: str
    float32: frozenset[str]


def scopes(graph: onnx.ModelProto) -> list[Scope]:
    """Ever smaller scopes of a method's graph; the first that keeps the limits is the fastest.

    The read-out's filters, of one channel, are never in it. What compares teacher and student, and
    segments, asks more of its numbers than the two networks do; and most is asked of the student's
    finest level, whose small distances are what good parts look like.
    """
    shaped = onnx.shape_inference.infer_shapes(graph).graph
    weights = {tensor.name: tensor for tensor in shaped.initializer}
    heights = {
        value.name: value.type.tensor_type.shape.dim[2].dim_value
        for value in shaped.value_info
        if len(value.type.tensor_type.shape.dim) == 4
    }
    nodes = [node for node in shaped.node if node.op_type in _CONVOLUTIONS]
    read_out = {n.name for n in nodes if n.input[1] not in weights or _channels(n, weights) == 1}
    networks = [node for node in nodes if node.name not in read_out]
    compared = _leading_to("distances", shaped)
    later = {node.name for node in networks if node.name not in compared}
    student = [n for n in networks if n.name in compared and ".teacher." not in n.input[1]]
    finest = max((heights.get(node.output[0], 0) for node in student[-1:]), default=0)
    fine = {node.name for node in student if heights.get(node.output[0], 0) >= finest}
    found = [Scope("all convolutions", frozenset(read_out))]
    if later and student:
        found.append(Scope("teacher's and student's convolutions", frozenset(read_out | later)))
    if student:
        named = "teacher's convolutions, and the student's but for its finest level"
        found.append(Scope(named, frozenset(read_out | later | fine)))
        whole_student = {node.name for node in student}
        found.append(Scope("teacher's convolutions", frozenset(read_out | later | whole_student)))
    return found


def _channels(node: onnx.NodeProto, weights: dict[str, onnx.TensorProto]) -> int:
    return int(weights[node.input[1]].dims[1 if node.op_type == "Conv" else 0])


def _leading_to(value: str, graph: onnx.GraphProto) -> set[str]:
    """Names of all nodes that a value depends on; none where the graph has no such value."""
    makers = {name: node for node in graph.node for name in node.output}
    found: set[str] = set()
    waiting = [value]
    while waiting:
        node = makers.get(waiting.pop())
        if node is not None and node.name not in found:
            found.add(node.name)
            waiting.extend(node.input)
    return found
