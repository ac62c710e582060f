"""Which convolutions may be quantised."""

from __future__ import annotations

import onnx
import pytest

from flawmap.exporting.quantization_scope import scopes
from flawmap.exporting.quantize import quantise_onnx
from flawmap.inspection.bundle.manifest import GRAPH
from training.tiny import tiny_images


def convolutions(graph: onnx.ModelProto) -> dict[str, str]:
    """Names of the weights, by those of the nodes."""
    return {n.name: n.input[1] for n in graph.graph.node if n.op_type == "Conv"}


@pytest.fixture(scope="module")
def graph(striped_once) -> onnx.ModelProto:
    return onnx.load(striped_once.run / GRAPH)


def test_ever_fewer_from_nearly_all_to_the_coarse_teachers(graph):
    names = convolutions(graph)
    quantised = [{names[n] for n in names.keys() - s.float32} for s in scopes(graph)]
    assert quantised[0] > quantised[1] > quantised[2] > quantised[3]
    assert all(name.startswith("module.") for name in quantised[0])
    assert "module.teacher.conv1.weight" in names.values()
    assert "module.teacher.conv1.weight" not in quantised[0], "a stem"
    assert {name for name in quantised[0] if ".teacher." in name} == quantised[2]
    left = quantised[0] - quantised[1]
    assert any(".head." in name for name in left)
    assert any(".student.decoder.stages.0." in name for name in left), "its finest stage"
    assert any(".student.decoder.lift.1." in name for name in left), "1x1"
    assert not any(".stages.1." in name or ".stages.2." in name for name in left)
    assert {name for name in quantised[2] if ".layer1." not in name} == quantised[3]


def test_without_distances_there_is_one_scope(graph):
    without = onnx.ModelProto()
    without.CopyFrom(graph)
    for node in without.graph.node:
        for names in (node.input, node.output):
            names[:] = ["unnamed" if name == "distances" else name for name in names]
    found = scopes(without)
    assert [scope.what for scope in found] == ["all convolutions but the stems"]


def test_only_the_scopes_convolutions_are_quantised(graph):
    scope = scopes(graph)[-1]
    small = onnx.load_model_from_string(
        quantise_onnx(graph.SerializeToString(), tiny_images(3), scope.float32)
    )
    scaled = {n.output[0] for n in small.graph.node if n.op_type == "DequantizeLinear"}
    found = {n.name: n.input[1] in scaled for n in small.graph.node if n.op_type == "Conv"}
    assert {name for name, is_small in found.items() if not is_small} == scope.float32
