"""Graphs that are no inspector's: an error of one line, whatever the runtime makes of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from flawmap import FlawmapError
from flawmap.runtime.onnxruntime import OnnxRuntime

IMAGES = np.full((2, 8, 4, 3), 7, np.uint8)
Change = Callable[[onnx.ModelProto], object]


def graph(factor: float = 1.0, change: Change = lambda model: None) -> bytes:
    """Mean colour times ``factor`` as the map, its mean as the score."""
    take = helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", 8, 4, 3])
    give = [
        helper.make_tensor_value_info("map", TensorProto.FLOAT, ["batch", 8, 4]),
        helper.make_tensor_value_info("score", TensorProto.FLOAT, ["batch"]),
    ]
    constants = {"factor": np.float32(factor), "last": np.int64([3]), "both": np.int64([1, 2])}
    nodes = [
        helper.make_node("Cast", ["images"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["x", "factor"], ["y"]),
        helper.make_node("ReduceMean", ["y", "last"], ["map"], keepdims=0),
        helper.make_node("ReduceMean", ["map", "both"], ["score"], keepdims=0),
    ]
    tensors = [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()]
    body = helper.make_graph(nodes, "g", [take], give, tensors)
    opset = [helper.make_opsetid("", 18)]
    model = helper.make_model(body, opset_imports=opset, ir_version=8)
    change(model)
    return bytes(model.SerializeToString())


def rename_output(model: onnx.ModelProto) -> None:
    model.graph.output[1].name = "x"


def symbolic_size(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "height"


def other_rank(model: onnx.ModelProto) -> None:
    del model.graph.input[0].type.tensor_type.shape.dim[3:]


def other_name(model: onnx.ModelProto) -> None:
    model.graph.input[0].name = model.graph.node[0].input[0] = "pictures"


def other_shape(model: onnx.ModelProto) -> None:
    model.graph.node[2].attribute[0].i = 1
    del model.graph.output[0].type.tensor_type.shape.dim[:]


def test_one_that_is_like_an_inspectors() -> None:
    maps, scores = OnnxRuntime(graph(), threads=1)(IMAGES)
    np.testing.assert_array_equal(maps, np.full((2, 8, 4), 7, np.float32))
    np.testing.assert_array_equal(scores, [7, 7])


@pytest.mark.parametrize(
    "change", [rename_output, symbolic_size, other_rank, other_name, other_shape]
)
def test_one_that_is_not(change: Change) -> None:
    with pytest.raises(FlawmapError) as caught:
        OnnxRuntime(graph(change=change), threads=1)(IMAGES)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("factor", [np.nan, np.inf, 3e38])
def test_no_number_is_no_verdict(factor: float) -> None:
    """NaN lies above no threshold: the part would be good."""
    with pytest.raises(FlawmapError, match="is not a finite number"):
        OnnxRuntime(graph(factor), threads=1)(IMAGES)
