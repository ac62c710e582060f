"""Steps replayed as graphs do what ordinary steps do; here on a stand-in for CUDA's graphs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from flawmap.training.steps.checkpoint import learned_state
from flawmap.training.steps.graphs import WARM_UP, Cuda, Graphed, choose_graphs
from flawmap.training.steps.loop import Loop
from methods import test_adps, test_destseg, test_stpm
from methods.tiny import tiny_batch
from training.tiny import CPU, stop_after

CONTRACTS = (test_destseg.TestDestseg, test_adps.TestAdps, test_stpm.TestStpm)
STEPS = 2 * (WARM_UP + 4)


class Recorder:
    """A device whose graphs run nothing when captured, and write to one place when replayed."""

    def __init__(self, fails: bool = False) -> None:
        self.fails = fails
        self.captures = self.replays = 0

    def aside(self, work: Callable[[], Tensor]) -> Tensor:
        return work()

    def capture(self, work: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
        if self.fails:
            raise RuntimeError("operation not permitted when stream is capturing\nmore of it")
        self.captures += 1
        place = torch.empty(())

        def replay() -> None:
            self.replays += 1
            place.copy_(work())

        return replay, place


def build(contract: type, folder: Path, graphs: Recorder | None, show=None, say=None) -> Loop:
    loop = contract().loop(folder, "fast", show or (lambda progress: None), STEPS)
    loop.graphs, loop.say = graphs, say or (lambda text: None)
    return loop


@pytest.mark.parametrize("contract", CONTRACTS)
def test_a_run_by_graphs_equals_one_without_cut_or_not(tmp_path: Path, contract):
    curves: list[list[float]] = [[], []]
    plain = build(contract, tmp_path / "plain", None, lambda p: curves[0].append(p.loss))
    plain.run()
    expected = learned_state(plain.method.module)

    device = Recorder()
    whole = build(contract, tmp_path / "whole", device, lambda p: curves[1].append(p.loss))
    whole.run()
    phases = len(whole.method.phases())
    assert (device.captures, device.replays) == (phases, STEPS - phases * WARM_UP)
    assert curves[0] == curves[1]

    stop_after(build(contract, tmp_path / "cut", Recorder()), WARM_UP + 2)
    resumed = build(contract, tmp_path / "cut", Recorder())
    resumed.run()
    for loop in (whole, resumed):
        for name, value in learned_state(loop.method.module).items():
            assert torch.equal(value, expected[name]), name


def test_what_cannot_be_captured_goes_on_without_in_one_line(tmp_path: Path):
    lines: list[str] = []
    plain = build(test_destseg.TestDestseg, tmp_path / "plain", None)
    plain.run()
    failing = build(
        test_destseg.TestDestseg, tmp_path / "failing", Recorder(True), say=lines.append
    )
    failing.run()
    assert len(lines) == len(failing.method.phases())
    assert all("\n" not in line and "not permitted" in line for line in lines)
    expected = learned_state(plain.method.module)
    for name, value in learned_state(failing.method.module).items():
        assert torch.equal(value, expected[name]), name


def test_losses_of_earlier_steps_are_not_overwritten():
    graphed = Graphed(lambda batch: batch.mask.sum(), Recorder(), print)
    batch = tiny_batch()
    losses = []
    for number in range(WARM_UP + 3):
        batch.mask.fill_(number)
        losses.append(graphed(batch))
    assert [int(loss) // batch.mask.numel() for loss in losses] == list(range(WARM_UP + 3))


def test_graphs_are_for_a_gpu_used_alone():
    cuda = torch.device("cuda")
    assert isinstance(choose_graphs(cuda, asked=True, alone=True), Cuda)
    for device, asked, alone in ((CPU, True, True), (cuda, False, True), (cuda, True, False)):
        assert choose_graphs(device, asked=asked, alone=alone) is None
