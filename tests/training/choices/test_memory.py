"""Whether a memory suits the good images, and what becomes of it in training and after."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import flawmap
from flawmap import Inspector
from flawmap.cli.console.info import show_info
from flawmap.data.image_io.images import write_png
from flawmap.demonstration.drawing import Product
from flawmap.evaluation.reporting import _memory
from flawmap.exporting.onnx_graph import export_onnx
from flawmap.exporting.rebuild import TorchBackend, rebuild
from flawmap.inspection.bundle.manifest import read_manifest
from flawmap.inspection.read_outs.unfamiliar import load_memory
from flawmap.methods.base import Method
from flawmap.methods.modules.blocks import upsample
from flawmap.methods.normality.config import MemoryConfig
from flawmap.methods.normality.memory import build_memory
from flawmap.methods.registry import METHODS, find_preset
from flawmap.runtime.onnxruntime import OnnxRuntime
from flawmap.training.choices.alignment import Alignment
from flawmap.training.choices.memory import decide_memory, fill_memory
from flawmap.training.finalize import measure_parity
from methods.tiny import SIZE, tiny_config, tiny_teacher
from training.misplaced import draw
from training.upright import upright

PRODUCT = Product.from_seed(0, SIZE[0])


@pytest.mark.parametrize(
    ("kind", "images", "alike", "expected", "why"),
    [
        ("auto", 24, True, "placed", "as it was found"),
        ("auto", 24, False, "none", "as it was found"),
        ("auto", 7, None, "none", "7 good images are too few for a memory"),
        ("unplaced", 7, None, "none", "7 good images are too few for a memory"),
        ("unplaced", 24, None, "unplaced", "as asked for"),
        ("placed", 24, None, "placed", "as asked for"),
    ],
)
def test_which_memory_suits(kind: str, images: int, alike: bool | None, expected: str, why: str):
    def alignment() -> Alignment:
        assert alike is not None, "nothing is compared where it would not matter"
        return Alignment(alike, "as it was found")

    config, line = decide_memory(tiny_config("fast", memory={"kind": kind}), images, alignment)
    assert config.memory == MemoryConfig(kind=expected)
    assert line == f"Memory of good images: {expected}, {why}."


@pytest.mark.parametrize("memory", [None, {"kind": "none"}])
def test_none_is_decided_on_where_none_is_configured(memory: dict[str, str] | None):
    plain = tiny_config("fast", memory=memory)
    assert decide_memory(plain, 24, lambda: pytest.fail("asked")) == (plain, None)


def remembering(method: str, kind: str) -> Method:
    """A method's fast preset in miniature, its memory filled."""
    full = find_preset(method, "fast")
    changes = {"size": SIZE, "memory": {"kind": kind, "prototypes": 16, "block_prototypes": 4}}
    changes |= {"adps": {"patches": 2, "widths": (8, 8, 8)}, "stpm": {}}[method]
    torch.manual_seed(0)
    built = METHODS[method](tiny_teacher(), type(full).model_validate(full.model_dump() | changes))
    built.module.eval()
    fill_memory(built, upright(12), np.arange(12), 0)
    return built


@pytest.mark.parametrize(("method", "kind"), [("adps", "placed"), ("stpm", "unplaced")])
def test_other_methods_join_it_too(method: str, kind: str):
    built = remembering(method, kind)
    assert built.module.memory.prototypes.shape[:2] == ((16, 4) if kind == "placed" else (1, 16))
    image = torch.rand(2, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found = built.module(image)
        built.module.memory = build_memory(None)
        without = built.module(image)
    assert not torch.equal(found[0], without[0])
    assert not torch.equal(found[1], without[1])
    assert 0 <= found[0].min() <= found[0].max() <= 1


def test_the_memorys_share_of_a_score_is_not_lowered_where_teacher_and_student_agree():
    torch.manual_seed(0)
    built = METHODS["destseg"](tiny_teacher(), tiny_config("fast", memory={"kind": "placed"}))
    module = built.module.eval()
    fill_memory(built, upright(12), np.arange(12), 0)
    module.student.forward = lambda image, teacher: teacher
    image = torch.rand(1, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        unfamiliar = module.memory.unfamiliar(module.teacher(module.normalise_image(image)))
        own = module.memory.weigh(torch.zeros(1), unfamiliar)
        assert module(image)[1] >= own > 0


@pytest.mark.slow
def test_an_unplaced_one_is_the_same_in_the_graph(tmp_path: Path):
    built = remembering("stpm", "unplaced")
    twin = export_onnx(built.module, SIZE, tmp_path / "graph.onnx", has_distances=True)
    graph = OnnxRuntime((tmp_path / "graph.onnx").read_bytes())
    noise = np.random.default_rng(0).integers(0, 256, (2, *SIZE, 3), np.uint8)
    images = np.concatenate([upright(2), noise])
    measure_parity(graph, twin, images)
    together, scores = graph(images)
    for image, found, score in zip(images, together, scores, strict=True):
        alone, own = graph(image[None])
        np.testing.assert_allclose(alone[0], found, atol=1e-5)
        np.testing.assert_allclose(own[0], score, atol=1e-5)


def test_it_is_the_same_bits_each_time():
    filled = []
    for _ in range(2):
        torch.manual_seed(0)
        method = METHODS["destseg"](tiny_teacher(), tiny_config("fast", memory={"kind": "placed"}))
        torch.manual_seed(len(filled))  # no generator but its own is used
        fill_memory(method, upright(12), np.arange(12), 3)
        filled.append(method.module.memory.state_dict())
    assert all(torch.equal(filled[0][name], filled[1][name]) for name in filled[0])


@pytest.fixture(scope="module")
def remembered(tmp_path_factory: pytest.TempPathFactory, tiny_textures: Path) -> Path:
    """A run of a few steps on forty good parts of the demo's product."""
    folder = tmp_path_factory.mktemp("remembered")
    (folder / "data" / "good").mkdir(parents=True)
    for number in range(40):
        image = draw(PRODUCT, None, 100 + number)
        write_png(folder / "data" / "good" / f"{number:02}.png", image)
    flawmap.train(
        folder / "data",
        folder / "run",
        size=SIZE,
        rotate="none",
        steps=40,
        batch_size=4,
        textures=tiny_textures,
    )
    return folder / "run"


@pytest.mark.slow
def test_a_part_that_is_missing_turned_or_doubled_is_rejected(remembered: Path):
    """All of their structures are good ones: nothing but their places tells."""
    inspector = Inspector.load(remembered)
    assert inspector.manifest.configuration["memory"]["kind"] == "placed"
    good = [inspector.inspect(draw(PRODUCT, None, number)) for number in range(10)]
    assert sum(one.verdict == "reject" for one in good) <= 1
    for wrong in ("missing", "turned", "doubled"):
        for number in range(3):
            found = inspector.inspect(draw(PRODUCT, wrong, number))
            assert found.verdict == "reject", wrong
            assert found.score > max(one.score for one in good), wrong


@pytest.mark.slow
def test_its_weights_hold_it_and_info_tells(remembered: Path, capsys: pytest.CaptureFixture[str]):
    show_info(read_manifest(remembered))
    assert "of good images, placed" in capsys.readouterr().out
    images = draw(PRODUCT, "missing", 8)[None]
    maps, scores = OnnxRuntime((remembered / "model.onnx").read_bytes())(images)
    again, same = TorchBackend(remembered, read_manifest(remembered))(images)
    np.testing.assert_allclose(again, maps, atol=1e-4)
    np.testing.assert_allclose(same, scores, atol=1e-4)


@pytest.mark.slow
def test_it_can_be_read_out_alone_and_the_report_shows_it(remembered: Path, tmp_path: Path):
    memory = load_memory(remembered)
    assert memory is not None
    image = draw(PRODUCT, "missing", 8)
    seen = memory.inspect(image)
    module = rebuild(remembered, read_manifest(remembered)).module
    with torch.no_grad():
        pixels = torch.from_numpy(image[None]).permute(0, 3, 1, 2).float() / 255
        *_, unfamiliar = module(pixels)
        own = upsample(unfamiliar, SIZE)[0, 0]
    np.testing.assert_allclose(seen.anomaly_map, own.numpy(), atol=1e-4)
    highest = unfamiliar.flatten().sort(descending=True).values[:6].mean()
    assert seen.score == pytest.approx(highest.item(), abs=1e-4)
    assert seen.score > memory.inspect(draw(PRODUCT, None, 9)).score

    for number in range(2):
        for label in ("good", "missing"):
            folder = tmp_path / "data" / "test" / label
            folder.mkdir(parents=True, exist_ok=True)
            kind = None if label == "good" else label
            write_png(folder / f"{number}.png", draw(PRODUCT, kind, 20 + number))
    flawmap.evaluate(remembered, tmp_path / "data", report=tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count("<figcaption>unfamiliar to the memory") == 4
    assert page.count("unfamiliar by ") == 4


def test_a_run_without_a_memory_has_none_to_read_out(tiny_run: Path):
    assert load_memory(tiny_run) is None


@pytest.mark.slow
def test_where_onnx_is_missing_the_report_says_why_it_shows_none(
    remembered: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert _memory(remembered) == (
        None,
        (
            "The memory's own map is not shown. Reading out unfamiliar needs onnx: "
            "pip install 'flawmap[train]'",
        ),
    )


@pytest.mark.slow
def test_int8_rejects_a_missing_part_too(
    remembered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("flawmap.exporting.export._ANOMALIES", 12)
    monkeypatch.setattr("flawmap.exporting.synthetic._TEXTURES", 8)
    run = tmp_path / "run"
    shutil.copytree(remembered, run)
    flawmap.export(run, "onnx", int8=True, force=True)
    inspector = Inspector.load(run, precision="int8")
    assert inspector.inspect(draw(PRODUCT, "missing", 9)).verdict == "reject"
    assert inspector.inspect(draw(PRODUCT, None, 9)).verdict != "reject"
