"""Every row of every ablation becomes a graph that is the network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from torch import Tensor, nn

from flawmap.backbones.base import Backbone
from flawmap.benchmark.ablation import ABLATIONS
from flawmap.exporting.onnx_graph import export_onnx, fold_deviation, fold_norms, inference_graph
from flawmap.exporting.quantization_scope import scopes
from flawmap.methods.base import Method
from flawmap.methods.config import MethodConfig
from flawmap.methods.optimisation import build_optimisers
from flawmap.methods.registry import METHODS, find_preset
from flawmap.runtime.onnxruntime import OnnxRuntime
from flawmap.training.finalize import PARITY_LIMIT, measure_parity
from methods.tiny import SIZE, liven, tiny_batch, tiny_teacher

NARROW = {
    "destseg": {"student_width": 0.125},
    "adps": {"patches": 4, "widths": (8, 8)},
    "stpm": {},
}
ROWS = [(method, row) for method, rows in ABLATIONS.items() for row in rows]
WHOLE = ("den+ed+seg", "whole", "product")  # the methods as they are
# Fields that decide how a row's graph is built; rows alike in them differ in training alone.
BUILT_BY = (
    "encoder", "decoder", "head", "head_input", "gate", "segmentation", "similarity", "read_out",
)  # fmt: skip


def configure(method: str, row: str, preset: str) -> MethodConfig:
    full = find_preset(method, preset)
    size = (256, 256) if "k=16" in row else SIZE
    narrow = {"size": size} | NARROW[method]
    if method == "destseg":
        narrow["head_widths"] = tuple(8 for _ in full.head_widths)
    changes = ABLATIONS[method][row].changes
    return type(full).model_validate(full.model_dump() | narrow | changes)


def build(method: str, row: str, preset: str) -> Method:
    teacher = tiny_teacher()
    torch.manual_seed(0)
    built = METHODS[method](teacher, configure(method, row, preset))
    liven(built.module)
    return built


def structures() -> list[tuple[str, str]]:
    """One row of each way that a graph is built under ``paper``, which the ablations start from.

    The methods as they are come through MethodContract, a head that reads distances below.
    """
    found: dict[tuple[object, ...], tuple[str, str]] = {}
    for method, row in sorted(ROWS, key=lambda one: one[1] not in WHOLE):
        config = configure(method, row, "paper").model_dump()
        key = (method, config.get("patches") == 1, *(config.get(name) for name in BUILT_BY))
        found.setdefault(key, (method, row))
    return [one for one in found.values() if one[1] not in ("head reads distances", *WHOLE)]


class Shared(nn.Module):
    """A part that several networks have, and that works once an image."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.part = part
        self.given: dict[str, object] = {}
        if isinstance(part, Backbone):
            self.strides = part.strides

    def _once(self, name: str, *given: object) -> Any:
        if name not in self.given:
            self.given[name] = getattr(self.part, name)(*given)
        return self.given[name]

    def stem(self, x: Tensor) -> Any:
        return self._once("stem", x)

    def stages(self, stem: Tensor) -> Any:
        return self._once("stages", stem)

    def forward(self, *given: object) -> Any:
        return self._once("forward", *given)


class Rows(nn.Module):
    """Several methods' networks side by side, as tracing is what takes long in exporting.

    They have one teacher, and those of one method's students that are built alike are one, too.
    """

    def __init__(self, rows: list[nn.Module]) -> None:
        super().__init__()
        self.rows = nn.ModuleList(rows)
        alike: dict[str, Shared] = {}
        for row in rows:
            row.teacher = alike.setdefault("teacher", Shared(row.teacher))
            kind = f"{row.student} {getattr(row.config, 'patches', None)}"
            row.student = alike.setdefault(kind, Shared(row.student))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Maps (B, rows, H, W), scores (B, rows) and all distances."""
        shared = [part for part in self.modules() if isinstance(part, Shared)]
        maps, scores, distances = zip(*(row(image) for row in self.rows), strict=True)
        for part in shared:
            part.given.clear()
        values = torch.cat([one.flatten(1) for one in distances], 1)
        return torch.stack(maps, 1), torch.stack(scores, 1), values


@pytest.mark.parametrize("preset", ["paper", "fast"])
@pytest.mark.parametrize(("method", "row"), ROWS)
def test_folding_changes_nothing(method: str, row: str, preset: str):
    built = build(method, row, preset)
    graph = inference_graph(built.module)
    images = torch.randint(0, 256, (2, *built.config.size, 3), dtype=torch.uint8)
    with torch.no_grad():
        expected = graph(images)
        fold_norms(graph)
        fold_deviation(graph)
        for one, other in zip(graph(images), expected, strict=True):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("preset", ["paper", "fast"])
@pytest.mark.parametrize(("method", "row"), [one for one in ROWS if "k=16" not in one[1]])
def test_every_row_takes_a_step_in_each_phase(method: str, row: str, preset: str):
    built, batch = build(method, row, preset), tiny_batch()
    for phase in built.phases():
        built.module.eval().requires_grad_(False)
        for group in phase.groups:
            group.train().requires_grad_(True)
        learning = [p for group in phase.groups for p in group.parameters()]
        before = [p.detach().clone() for p in learning]
        optimisers = build_optimisers(phase.groups, phase.config)
        phase.loss(batch).backward()
        assert all(p.grad is not None for p in learning)
        for optimiser in optimisers:
            optimiser.step()
        moved = [not torch.equal(p, old) for p, old in zip(learning, before, strict=True)]
        assert sum(moved) > 0.9 * len(moved)


@pytest.mark.long
def test_every_structure_exports_within_parity(tmp_path: Path):
    rows = structures()
    assert len(rows) == 11
    module = Rows([build(method, row, "paper").module for method, row in rows])
    twin = export_onnx(module, SIZE, tmp_path / "graph.onnx", has_distances=True)
    images = np.random.default_rng(0).integers(0, 256, (2, *SIZE, 3), np.uint8)
    session = ort.InferenceSession(tmp_path / "graph.onnx")
    found = session.run(["map", "score"], {"images": images})
    with torch.no_grad():
        expected = twin(torch.from_numpy(images))[:2]
    for index, row in enumerate(rows):
        for ours, torchs in zip(found, expected, strict=True):
            difference = np.abs(ours[:, index] - torchs[:, index].numpy()).max()
            assert difference <= PARITY_LIMIT, row


@pytest.mark.slow
def test_a_head_that_reads_distances_exports_and_is_no_stem(tmp_path: Path):
    """Its first convolution has three channels, and they are not the image's."""
    built = build("destseg", "head reads distances", "paper")
    twin = export_onnx(built.module, SIZE, tmp_path / "graph.onnx", has_distances=True)
    graph = onnx.load(tmp_path / "graph.onnx")
    images = np.random.default_rng(0).integers(0, 256, (2, *SIZE, 3), np.uint8)
    measure_parity(OnnxRuntime(graph.SerializeToString()), twin, images)
    weights = {node.name: node.input[1] for node in graph.graph.node if node.op_type == "Conv"}
    left = {weights[name] for name in scopes(graph)[0].float32}
    assert left == {"module.teacher.conv1.weight", "module.student.encoder.conv1.weight"}
