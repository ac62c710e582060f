"""What every method must pass: subclass :class:`MethodContract` in a test file of its own.

::

    class TestMine(MethodContract):
        method = "mine"
        tiny = {"width": 8}  # what makes both presets small
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from flawmap.errors import UsageError
from flawmap.exporting.onnx_graph import export_onnx
from flawmap.methods.base import Method
from flawmap.methods.registry import METHODS, find_preset
from flawmap.runtime.onnxruntime import OnnxRuntime
from flawmap.synthesis.textures import draw_textures
from flawmap.training.config import TrainConfig
from flawmap.training.finalize import measure_parity
from flawmap.training.resolve import check_backbone
from flawmap.training.steps.batches import BatchMaker
from flawmap.training.steps.checkpoint import learned_state
from flawmap.training.steps.device import autocast
from flawmap.training.steps.loop import Loop, Progress
from methods.tiny import SIZE, TALL, tiny_teacher
from training.tiny import CPU, stop_after, tiny_images


class MethodContract:
    """Tests of one method, each on every preset."""

    method: ClassVar[str]
    presets: ClassVar[tuple[str, ...]] = ("paper", "fast")
    tiny: ClassVar[dict[str, Any]] = {}
    """Changes that make any preset small enough for 64x64 and a few seconds."""
    tiny_of: ClassVar[dict[str, dict[str, Any]]] = {}
    """More of them, for one preset alone."""
    steps: ClassVar[int] = 30
    """Enough for every phase's loss to fall."""

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "preset" in metafunc.fixturenames:
            metafunc.parametrize("preset", self.presets)

    def test_every_preset_is_tested(self):
        assert set(self.presets) == set(METHODS[self.method].presets)

    def build(self, preset: str, **changes: Any) -> Method:
        """The preset made small; the same weights each time."""
        full = find_preset(self.method, preset)
        small = {"size": SIZE, "batch_size": 4} | self.tiny | self.tiny_of.get(preset, {})
        config = type(full).model_validate(full.model_dump() | small | changes)
        teacher = tiny_teacher()
        torch.manual_seed(0)
        return METHODS[self.method](teacher, config)

    def loop(
        self, folder: Path, preset: str, show: Any = lambda progress: None, steps: int | None = None
    ) -> Loop:
        """As ``flawmap train`` builds it."""
        method = self.build(preset)
        method.module.to(memory_format=torch.channels_last)
        config = method.config
        batches = BatchMaker(
            tiny_images(), draw_textures(6, SIZE, 0),
            config.anomalies, config.batch_size, "slight", config.rotation_fill, 0, CPU,
        )  # fmt: skip
        folder.mkdir(exist_ok=True)
        total = steps or self.steps
        return Loop(method, method.phases(), batches, total, folder, CPU, "float32", 1e9, show)

    def test_presets_carry_their_names_and_survive_a_manifest(self, preset: str):
        config = find_preset(self.method, preset)
        assert config.preset == preset
        others = [one for name, one in METHODS[self.method].presets.items() if name != preset]
        assert config.model_copy(update={"preset": ""}) not in [
            one.model_copy(update={"preset": ""}) for one in others
        ]
        assert type(config).model_validate_json(config.model_dump_json()) == config

    @pytest.mark.slow
    def test_every_loss_falls_and_the_teacher_stays(self, tmp_path: Path, preset: str):
        losses: dict[str, list[float]] = {}

        def show(progress: Progress) -> None:
            losses.setdefault(progress.phase, []).append(progress.loss)

        loop = self.loop(tmp_path, preset, show)
        loop.run()
        for phase, values in losses.items():
            assert values[-1] < values[0], phase
        before = tiny_teacher().state_dict()
        after = loop.method.module.teacher.state_dict()
        assert all(torch.equal(value, before[name]) for name, value in after.items())
        assert not any(name.startswith("teacher.") for name in learned_state(loop.method.module))

    def test_losses_in_bf16_are_float32s(self, tmp_path: Path, preset: str):
        """Of the same weights and batch, as far as bf16 features go."""
        loop = self.loop(tmp_path, preset)
        batch = loop.batches(0)
        for phase in loop.method.phases():
            loop.set_modes(phase)
            expected = phase.loss(batch)
            with autocast(CPU, "bf16"):
                found = phase.loss(batch)
            assert found.dtype == torch.float32
            assert found.item() == pytest.approx(expected.item(), rel=0.02), phase.name
            found.backward()
            gradients = [p.grad for group in phase.groups for p in group.parameters()]
            assert all(g is not None and g.isfinite().all() for g in gradients)

    @pytest.mark.slow
    def test_a_run_cut_anywhere_ends_bit_identical(self, tmp_path: Path, preset: str):
        whole = self.loop(tmp_path / "whole", preset, steps=16)
        whole.run()
        for step in (5, 11):
            stop_after(self.loop(tmp_path / "cut", preset, steps=16), step)
        resumed = self.loop(tmp_path / "cut", preset, steps=16)
        resumed.run()
        expected = learned_state(whole.method.module)
        for name, value in learned_state(resumed.method.module).items():
            assert torch.equal(value, expected[name]), name

    @pytest.mark.slow
    def test_graph_equals_torch_for_one_image_and_many(self, tmp_path: Path):
        method = self.build("paper", size=TALL)
        path = tmp_path / "graph.onnx"
        twin = export_onnx(method.module, TALL, path, has_distances=method.has_distances)
        graph = OnnxRuntime(path.read_bytes())
        images = np.random.default_rng(0).integers(0, 256, (3, *TALL, 3), np.uint8)
        parity = measure_parity(graph, twin, list(images))  # one by one; raises above 1e-4
        assert parity.images == 3
        maps, scores = graph(images)
        assert maps.shape == images.shape[:3]
        assert scores.shape == (3,)
        for image, found in zip(images, maps, strict=True):
            np.testing.assert_allclose(graph(image[None])[0][0], found, atol=1e-5)

    def test_distances_are_there_where_it_says_so(self, preset: str):
        method = self.build(preset)
        method.module.eval()
        with torch.no_grad():
            found = method.module(torch.rand(2, 3, *SIZE))
        assert len(found) == (3 if method.has_distances else 2)
        if method.has_distances:
            assert found[2].ndim == 4
            assert 0 <= found[2].min() <= found[2].max() <= 1

    def test_a_size_that_does_not_fit_names_one_that_does(self, preset: str):
        config = TrainConfig(method=self.method, preset=preset, size=(100, 64))
        with pytest.raises(UsageError, match=r"multiples of \d+ pixels here, such as \d+x\d+"):
            check_backbone(config, tiny_teacher())

    def test_it_sees_corruption_only_if_it_says_so(self, tmp_path: Path, preset: str):
        loop = self.loop(tmp_path, preset)
        batch = loop.batches(3)
        changed = not torch.equal(batch.clean, batch.corrupted)
        corrupts = loop.method.config.anomalies is not None
        assert changed == corrupts
        assert bool(batch.mask.any()) == corrupts
