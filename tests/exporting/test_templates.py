"""Graphs from templates: the bytes of a traced one, or none."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import onnx
import pytest
import torch
from torch import nn

from flawmap.exporting import onnx_graph, templates
from flawmap.exporting.onnx_graph import export_onnx
from flawmap.exporting.templates import from_template, keep_as_template, structure_of
from flawmap.methods.adps.config import FAST
from flawmap.methods.adps.method import AdpsMethod
from flawmap.methods.stpm.config import PAPER
from flawmap.methods.stpm.method import StpmMethod
from methods.tiny import SIZE, liven, tiny_teacher

Export = Callable[..., bytes]


class Scaled(nn.Module):
    """One convolution, and something that its graph depends on beside weights."""

    def __init__(self, factor: object = 2.0, size: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 1, size)
        self.factor = factor
        self.register_buffer("shift", torch.rand(1), persistent=False)
        self.eval()


def graph_of(network: nn.Module, *names: str) -> onnx.ModelProto:
    """A graph that holds these tensors of the network under their own names."""
    state = dict((*network.named_parameters(), *network.named_buffers()))
    tensors = [onnx.numpy_helper.from_array(state[n].detach().numpy(), n) for n in names]
    return onnx.ModelProto(graph=onnx.GraphProto(initializer=tensors))


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Neither this process nor the disk knows any template; the folder for those on disk."""
    monkeypatch.setattr(templates, "_templates", {})
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "flawmap" / "graphs"


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """An item for each network that was traced."""
    found, trace = [], onnx_graph._traced

    def count(*args: object) -> onnx.ModelProto:
        found.append(1)
        return trace(*args)

    monkeypatch.setattr(onnx_graph, "_traced", count)
    return found


@pytest.fixture
def export(tmp_path: Path) -> Export:
    def write(module: nn.Module) -> bytes:
        export_onnx(module, SIZE, tmp_path / "graph.onnx", has_distances=True)
        return (tmp_path / "graph.onnx").read_bytes()

    return write


def tiny_adps() -> nn.Module:
    """ADPS in miniature, with the statistics that its levelling reads."""
    small = FAST.model_copy(update={"size": SIZE, "patches": 4, "widths": (8, 8, 8)})
    torch.manual_seed(0)
    return liven(AdpsMethod(tiny_teacher(), small).module)


def student(seed: int) -> nn.Module:
    """STPM in miniature, whose graph is the smallest of the three methods."""
    teacher = tiny_teacher()
    torch.manual_seed(seed)
    return StpmMethod(teacher, PAPER.model_copy(update={"size": SIZE})).module


@pytest.mark.slow
def test_a_graph_from_a_template_has_the_bytes_of_a_traced_one(
    export: Export, traced: list[int], forgotten: Path
):
    one, two = (liven(student(seed)) for seed in (0, 1))
    first, second = export(one), export(two)
    assert len(traced) == 1
    assert first != second
    assert b".py" not in first, "it says nothing of the machine that traced it"
    templates._templates.clear()
    assert export(two) == second
    assert len(traced) == 1, "another process has kept it on disk"
    shutil.rmtree(forgotten)
    templates._templates.clear()
    assert export(two) == second
    assert len(traced) == 2


def found_by(template: nn.Module, other: nn.Module) -> onnx.ModelProto | None:
    structure = structure_of(template, SIZE, ["map"])
    keep_as_template(structure, template, graph_of(template, "conv.weight", "conv.bias"))
    return from_template(structure_of(other, SIZE, ["map"]), other)


def test_weights_are_put_in_by_name():
    one, two = Scaled(), Scaled()
    two.shift.copy_(one.shift)
    found = found_by(one, two)
    assert found == graph_of(two, "conv.weight", "conv.bias")


def test_what_has_no_place_in_the_graph_must_be_equal():
    assert found_by(Scaled(), Scaled()) is None, "another shift"


@pytest.mark.parametrize("factor", [3.0, 2, True, (2.0,), [2.0], None, "2.0", {"a": 2.0}])
def test_another_value_is_another_structure(factor: object):
    one, two = Scaled(2.0), Scaled(factor)
    two.shift.copy_(one.shift)
    assert found_by(one, two) is None


@pytest.mark.parametrize(("first", "named"), [(0.7310585, True), (0.4, False)])
def test_a_single_value_goes_by_name_unless_it_may_be_a_constant_of_the_code(
    first: float, named: bool
):
    """The exporter stores equal tensors once: 0.4 might be put in place of a constant."""
    one, two = Scaled(), Scaled()
    for network, value in ((one, first), (two, 0.9)):
        network.shift = torch.tensor(value)
    structure = structure_of(one, SIZE, ["map"])
    graph = graph_of(one, "conv.weight", "conv.bias", "shift")
    keep_as_template(structure, one, graph)
    found = from_template(structure_of(two, SIZE, ["map"]), two)
    assert (found is not None) == named
    assert found is None or found == graph_of(two, "conv.weight", "conv.bias", "shift")


@pytest.mark.slow
def test_runs_of_adps_share_a_template_whatever_their_level(tmp_path: Path, traced: list[int]):
    for usual in (0.123456, 0.654321):
        module = tiny_adps()
        module.level.usual.fill_(usual)
        export_onnx(module, SIZE, tmp_path / "graph.onnx", has_distances=True)
    assert len(traced) == 1


def test_equal_values_are_the_same_structure():
    one, two = (Scaled((2.0, [1, {"a": None}], functools.partial(found_by, 1))) for _ in range(2))
    two.shift.copy_(one.shift)
    assert found_by(one, two) is not None


@pytest.mark.parametrize(
    "factor", [object(), torch.zeros(2), [torch.zeros(2)], functools.partial(max, 1)]
)
def test_with_values_that_may_hold_anything_there_is_no_template(factor: object):
    """Tracing costs seconds; a wrong graph would cost more."""
    one = Scaled(factor)
    assert structure_of(one, SIZE, ["map"]) == ""
    assert found_by(one, one) is None
    assert templates._templates == {}


def test_other_shapes_classes_sizes_outputs_and_modes_are_other_structures():
    class Other(Scaled):
        pass

    def all_of() -> Iterator[str]:
        yield structure_of(Scaled(), (64, 64), ["map"])
        yield structure_of(Scaled(size=3), (64, 64), ["map"])
        yield structure_of(Other(), (64, 64), ["map"])
        yield structure_of(Scaled(), (64, 32), ["map"])
        yield structure_of(Scaled(), (64, 64), ["map", "score"])
        yield structure_of(Scaled().train(), (64, 64), ["map"])
        yield structure_of(Scaled().double(), (64, 64), ["map"])

    assert len(set(all_of())) == 7
    assert structure_of(Scaled(), (64, 64), ["map"]) == next(all_of())


def test_few_are_kept_in_memory():
    one = Scaled()
    for number in range(6):
        keep_as_template(str(number), one, graph_of(one, "conv.weight"))
    assert list(templates._templates) == ["2", "3", "4", "5"]
