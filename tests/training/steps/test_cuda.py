"""What only a GPU shows: that training on CUDA resumes, and gives the same again."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from flawmap.exporting.onnx_graph import export_onnx
from flawmap.methods.optimisation import build_optimisers
from flawmap.runtime.onnxruntime import OnnxRuntime
from flawmap.training.finalize import measure_parity
from flawmap.training.steps import batches
from flawmap.training.steps.ahead import drawn_ahead
from flawmap.training.steps.graphs import WARM_UP, Cuda
from flawmap.training.steps.loop import Loop
from methods import test_adps, test_destseg, test_stpm
from methods.tiny import SIZE
from training.tiny import stop_after, tiny_images, weights

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
CONTRACTS = (test_destseg.TestDestseg, test_adps.TestAdps, test_stpm.TestStpm)
EACH = [(c, preset) for c in CONTRACTS for preset in c.presets]


def on_cuda(
    contract: type, folder: Path, preset: str, precision: str = "float32", graphs: bool = False
) -> Loop:
    """The contract's loop, on the GPU; with graphs it fails if a step cannot be captured."""
    loop = contract().loop(folder, preset)
    loop.device, loop.precision = torch.device("cuda"), precision
    loop.batches = dataclasses.replace(loop.batches, device=loop.device)
    loop.method.module.to(loop.device)
    loop.graphs, loop.say = (Cuda() if graphs else None), pytest.fail
    return loop


@pytest.mark.parametrize("graphs", [True, False])
@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize(("contract", "preset"), EACH)
def test_a_run_cut_anywhere_ends_as_one_never_stopped(
    tmp_path: Path, contract, preset, precision, graphs
):
    """As one without graphs, too."""
    whole = on_cuda(contract, tmp_path / "whole", preset, precision)
    whole.run()
    for step in (3, 19):
        stop_after(on_cuda(contract, tmp_path / "cut", preset, precision, graphs), step)
    resumed = on_cuda(contract, tmp_path / "cut", preset, precision, graphs)
    resumed.run()
    expected = weights(whole)
    for name, value in weights(resumed).items():
        assert torch.equal(value, expected[name]), name


@pytest.mark.parametrize("graphs", [True, False])
@pytest.mark.parametrize(("contract", "preset"), EACH)
def test_no_step_waits_for_the_device(tmp_path: Path, contract, preset, graphs):
    loop = on_cuda(contract, tmp_path, preset, graphs=graphs)
    with drawn_ahead(loop.batches) as loop.batches:
        for phase in loop.method.phases():
            loop.set_modes(phase)
            optimisers = build_optimisers(phase.groups, phase.config)
            compute = loop.gradients_of(phase)
            for step in range(WARM_UP + 3):
                if step not in (0, WARM_UP):  # images go to the device, and a graph is captured
                    torch.cuda.set_sync_debug_mode("error")
                try:
                    loop.step(phase, optimisers, step, compute)
                finally:
                    torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("room", [0, 10**9])
def test_batches_are_those_of_the_cpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, room):
    """Wherever the images are, but for the rounding of rotations and noise."""
    monkeypatch.setattr(batches, "room_on", lambda device: room)
    here = test_destseg.TestDestseg().loop(tmp_path, "fast").batches
    with drawn_ahead(dataclasses.replace(here, device=torch.device("cuda"))) as there:
        for step in range(3):
            ours, theirs = here(step), there(step)
            assert (ours.clean - theirs.clean.cpu()).abs().max() < 1e-4
            assert (ours.mask != theirs.mask.cpu()).float().mean() < 1e-3


@pytest.mark.parametrize("contract", CONTRACTS)
def test_first_losses_are_those_of_the_cpu(tmp_path: Path, contract):
    """TF32 would move them by some 1e-3."""
    here = contract().loop(tmp_path, "fast")
    there = on_cuda(contract, tmp_path, "fast")
    for ours, theirs in zip(here.method.phases(), there.method.phases(), strict=True):
        here.set_modes(ours)
        there.set_modes(theirs)
        expected = ours.loss(here.batches(0)).item()
        assert theirs.loss(there.batches(0)).item() == pytest.approx(expected, rel=1e-3)


def test_trained_on_cuda_exports_within_parity(tmp_path: Path):
    loop = on_cuda(test_destseg.TestDestseg, tmp_path, "fast")
    loop.run()
    twin = export_onnx(loop.method.module, SIZE, tmp_path / "graph.onnx", has_distances=True)
    graph = OnnxRuntime((tmp_path / "graph.onnx").read_bytes())
    measure_parity(graph, twin, np.stack(list(tiny_images(3))))
