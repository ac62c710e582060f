"""The graph is the trained network, on the runtime that the inspector uses."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from flawmap.backbones.features import ImageNorm
from flawmap.errors import FlawmapError
from flawmap.exporting.onnx_graph import (
    fold_deviation,
    fold_norms,
    inference_graph,
)
from flawmap.inspection.read_outs.distances import DistanceGraph
from flawmap.runtime.onnxruntime import OnnxRuntime
from flawmap.training.finalize import measure_parity
from methods.tiny import SIZE, TALL, lively_module, tiny_method

pytestmark = pytest.mark.slow  # exports networks


class Exported(NamedTuple):
    module: nn.Module
    path: Path
    graph: OnnxRuntime


@pytest.fixture(
    scope="module", params=["paper", "fast", pytest.param("best", marks=pytest.mark.long)]
)
def exported(request: pytest.FixtureRequest, tall_graph) -> Exported:
    module, path = tall_graph(request.param)
    return Exported(module, path, OnnxRuntime(path.read_bytes()))


def pictures(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, *TALL, 3), np.uint8)


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_graph_equals_torch_at_any_batch_size(exported: Exported, count):
    images = pictures(count)
    maps, scores = exported.graph(images)
    assert maps.shape == (count, *TALL)
    assert scores.shape == (count,)
    assert maps.dtype == scores.dtype == np.float32
    exported.module.eval()
    with torch.no_grad():
        x = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
        expected_maps, expected_scores, _ = exported.module(x)
    np.testing.assert_allclose(maps, expected_maps.numpy(), atol=1e-5)
    np.testing.assert_allclose(scores, expected_scores.numpy(), atol=1e-5)
    assert np.isfinite(maps).all()
    assert np.ptp(maps) > 1e-3, "the comparison is not of constants"


def test_score_is_the_mean_of_the_hundred_highest(exported: Exported):
    maps, scores = exported.graph(pictures(3, seed=1))
    expected = np.sort(maps.reshape(3, -1))[:, -100:].mean(1)
    power = exported.module.config.score_power
    if power:  # lowered where teacher and student agree: 100 pixels are 7 cells of 4x4
        graph = DistanceGraph(exported.path.read_bytes(), (1, 2, 3), {})
        (distances,) = graph._run(["distances"], pictures(3, seed=1))
        product = distances.clip(min=1e-3).prod(1).reshape(3, -1)
        expected *= np.sort(product)[:, -7:].mean(1) ** power
    np.testing.assert_allclose(scores, expected, atol=1e-5)


@pytest.mark.parametrize("level", [0, 255])
def test_constant_images(exported: Exported, level):
    maps, scores = exported.graph(np.full((1, *TALL, 3), level, np.uint8))
    assert np.isfinite(maps).all()
    assert np.isfinite(scores).all()
    assert 0 <= maps.min() <= maps.max() <= 1


def test_graph_is_whole_and_valid(exported: Exported):
    model = onnx.load(exported.path)
    onnx.checker.check_model(model, full_check=True)
    assert [i.name for i in model.graph.input] == ["images"]
    assert [o.name for o in model.graph.output] == ["map", "score"]
    assert exported.graph.size == TALL
    assert [p.name for p in exported.path.parent.iterdir()] == ["graph.onnx"], "no data beside it"


def test_wrong_input_is_refused_by_the_graph(exported: Exported):
    with pytest.raises(Exception, match=r"(?i)invalid|dimension|expected"):
        exported.graph(np.zeros((1, 32, 32, 3), np.uint8))


def test_parity_of_the_right_weights(exported: Exported):
    parity = measure_parity(exported.graph, inference_graph(exported.module), pictures(4))
    assert parity.images == 4
    assert 0 <= max(parity.map, parity.score) < 1e-5


def test_parity_of_other_weights_fails(exported: Exported):
    other = inference_graph(lively_module("fast", seed=5))
    with pytest.raises(FlawmapError, match="differs from the trained network"):
        measure_parity(exported.graph, other, pictures(2))


def test_parity_sees_a_nan(exported: Exported):
    broken = inference_graph(exported.module)
    nn.init.constant_(next(broken.module.head.parameters()), float("nan"))
    with pytest.raises(FlawmapError, match="differs"):
        measure_parity(exported.graph, broken, pictures(1))


@pytest.mark.parametrize("preset", ["paper", "fast"])
def test_folded_norms_are_gone_and_nothing_else_changes(preset: str):
    graph = inference_graph(tiny_method(preset).module)
    for part in graph.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.1)
            part.running_var.uniform_(0.5, 2)
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.normal_(part.bias, 0, 0.1)
    images = torch.randint(0, 256, (2, *SIZE, 3), dtype=torch.uint8)
    with torch.no_grad():
        expected = graph(images)
        fold_norms(graph)
        found = graph(images)
    assert not any(isinstance(part, nn.BatchNorm2d) for part in graph.modules())
    for ours, before in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, before, atol=1e-5, rtol=1e-4)


def test_a_norm_after_no_convolution_stays():
    alone = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 1), nn.ReLU(), nn.BatchNorm2d(4))
    fold_norms(alone.eval())
    assert [type(part) for part in alone] == [nn.BatchNorm2d, nn.Conv2d, nn.ReLU, nn.BatchNorm2d]


def test_exporting_leaves_the_network_as_it_was(tmp_path: Path):
    module = lively_module("fast")
    before = {k: v.clone() for k, v in module.state_dict().items()}
    twin = inference_graph(module)
    assert module.training
    assert not twin.training
    twin.module.requires_grad_(False)
    next(twin.module.head.parameters()).zero_()
    assert all(torch.equal(v, before[k]) for k, v in module.state_dict().items())


@pytest.mark.parametrize("preset", ["paper", "fast"])
def test_folded_deviation_is_gone_and_nothing_else_changes(preset: str):
    graph = inference_graph(tiny_method(preset).module)
    images = torch.randint(0, 256, (2, *SIZE, 3), dtype=torch.uint8)
    with torch.no_grad():
        expected = graph(images)
        fold_deviation(graph)
        found = graph(images)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)
    assert not any(isinstance(part, ImageNorm) for part in graph.modules())


def test_nothing_divides_the_image_before_the_networks(exported: Exported):
    """The deviation lies in the weights: only a scale and a shift are left."""
    nodes = onnx.load(exported.path).graph.node
    conv = next(index for index, node in enumerate(nodes) if node.op_type == "Conv")
    assert "Div" not in [node.op_type for node in nodes[:conv]]
