from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from flawmap.errors import FlawmapError
from flawmap.inspection.bundle.training_log import read_log
from flawmap.training.steps.checkpoint import newest_checkpoint
from flawmap.training.steps.loop import Loop, Progress
from flawmap.utils.signals import stopping_signals
from training.tiny import GENTLE, stop_after, tiny_loop, weights

PRESETS = ("paper", "fast")


@torch.no_grad()
def unseen_loss(loop: Loop, phase: str) -> float:
    """The phase's loss over eight batches that training never comes to."""
    loop.method.module.eval()
    (loss,) = [p.loss for p in loop.method.phases() if p.name == phase]
    return sum(loss(loop.batches(t)).item() for t in range(9000, 9008)) / 8


@pytest.mark.slow
@pytest.mark.parametrize("preset", PRESETS)
def test_both_losses_fall(tmp_path: Path, preset):
    losses = {}

    def show(progress: Progress) -> None:
        if progress.step == 40:
            losses["student"] = before, unseen_loss(loop, "student")
            losses["head"] = unseen_loss(loop, "head"), None

    loop = tiny_loop(tmp_path, preset, steps=80, show=show, **GENTLE[preset])
    if preset == "fast":  # its head starts near the answer "nothing": start it from "unsure"
        torch.nn.init.zeros_(loop.method.module.head.classify.bias)
    before = unseen_loss(loop, "student")
    loop.run()
    losses["head"] = losses["head"][0], unseen_loss(loop, "head")
    for phase, (first, last) in losses.items():
        assert last < 0.9 * first, phase
    assert {line["phase"] for line in read_log(tmp_path / "training.jsonl")} == losses.keys()


@pytest.mark.parametrize("preset", PRESETS)
def test_each_phase_moves_its_own_network(tmp_path: Path, preset):
    snapshots = {}

    def show(progress: Progress) -> None:
        snapshots[progress.phase] = weights(loop)

    loop = tiny_loop(tmp_path, preset, steps=12, show=show, **GENTLE[preset])
    before = weights(loop)
    loop.run()
    for phase in ("student", "head"):
        after = snapshots[phase]
        changed = {k for k in before if not torch.equal(before[k], after[k])}
        learning = {k for k in before if k.startswith(f"{phase}.")}
        assert changed == learning, "all of it, its running statistics too, and nothing else"
        before = after
    assert snapshots["head"].keys() == weights(loop).keys()
    assert all(torch.equal(v, snapshots["head"][k]) for k, v in weights(loop).items())


# --- stopping and going on


@pytest.fixture(scope="module")
def never_stopped(tmp_path_factory: pytest.TempPathFactory):
    """Weights and log of runs that nothing disturbed, by preset and precision."""
    runs: dict[tuple[str, str], tuple[dict, list]] = {}

    def get(preset: str, precision: str):
        if (preset, precision) not in runs:
            folder = tmp_path_factory.mktemp("whole")
            loop = tiny_loop(folder, preset, precision=precision, **GENTLE[preset])
            loop.run()
            runs[preset, precision] = weights(loop), read_log(folder / "training.jsonl")
        return runs[preset, precision]

    return get


# 16 steps, the second phase begins after 8
STOPS = [(3, 9, 13), (1, 2, 8, 15, 16)]


@pytest.mark.slow
@pytest.mark.parametrize("stops", STOPS, ids=str)
@pytest.mark.parametrize("preset", PRESETS)
def test_resumed_run_ends_bit_identical(tmp_path: Path, preset, stops, never_stopped):
    check_resumed(tmp_path, preset, "float32", stops, never_stopped)


@pytest.mark.slow
def test_resumed_run_ends_bit_identical_in_bf16(tmp_path: Path, never_stopped):
    check_resumed(tmp_path, "fast", "bf16", (5, 12), never_stopped)


def check_resumed(folder: Path, preset, precision, stops, never_stopped) -> None:
    expected, log = never_stopped(preset, precision)
    for step in stops:
        stop_after(tiny_loop(folder, preset, precision=precision, **GENTLE[preset]), step)
        found = newest_checkpoint(folder / "checkpoints")
        assert found is not None
        assert found.step == step
    last = tiny_loop(folder, preset, precision=precision, **GENTLE[preset])
    last.run()
    for name, value in weights(last).items():
        assert torch.equal(value, expected[name]), name
    lines = read_log(folder / "training.jsonl")
    assert [line["step"] for line in lines] == [line["step"] for line in log]
    assert [line["phase"] for line in lines] == [line["phase"] for line in log]
    seconds = [line["seconds"] for line in lines]
    assert seconds == sorted(seconds)


@pytest.mark.slow
def test_resumed_run_ends_bit_identical_where_the_teacher_remembers(tmp_path: Path):
    for name in ("whole", "cut"):
        (tmp_path / name).mkdir()
    whole = tiny_loop(tmp_path / "whole", rotation="none")
    whole.run()
    stop_after(tiny_loop(tmp_path / "cut", rotation="none"), 5)
    resumed = tiny_loop(tmp_path / "cut", rotation="none")
    resumed.run()
    assert all(torch.equal(v, weights(whole)[k]) for k, v in weights(resumed).items())


def test_another_seed_ends_elsewhere(tmp_path: Path, never_stopped):
    loop = tiny_loop(tmp_path, "fast", seed=1)
    loop.run()
    expected, _ = never_stopped("fast", "float32")
    assert any(not torch.equal(v, expected[k]) for k, v in weights(loop).items())


def test_damaged_checkpoint_costs_steps_not_the_run(tmp_path: Path, never_stopped, caplog):
    stop_after(tiny_loop(tmp_path), 4)
    stop_after(tiny_loop(tmp_path), 11)
    newest = max((tmp_path / "checkpoints").iterdir())
    newest.write_bytes(newest.read_bytes()[:1000])
    loop = tiny_loop(tmp_path)
    loop.run()
    assert "damaged" in caplog.text
    expected, log = never_stopped("fast", "float32")
    assert all(torch.equal(v, expected[k]) for k, v in weights(loop).items())
    lines = read_log(tmp_path / "training.jsonl")
    assert [line["step"] for line in lines] == [line["step"] for line in log]


def test_a_disk_that_fills_up_costs_steps_not_the_run(
    tmp_path: Path, never_stopped, monkeypatch: pytest.MonkeyPatch
):
    folder, fsync = tmp_path / "checkpoints", os.fsync

    def full(descriptor: int) -> None:
        if len(list(folder.glob("step-*"))) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(FlawmapError, match=r"Cannot write .*step-00000003.*No space left"):
            tiny_loop(tmp_path, checkpoint_seconds=0.0).run()
    found = newest_checkpoint(folder)
    assert found is not None
    assert found.step == 2
    loop = tiny_loop(tmp_path)
    loop.run()
    expected, _ = never_stopped("fast", "float32")
    assert all(torch.equal(v, expected[k]) for k, v in weights(loop).items())


@pytest.mark.slow
def test_checkpoints_come_by_the_clock(tmp_path: Path):
    steps = []

    def show(progress: Progress) -> None:
        steps.extend(p.name for p in (tmp_path / "checkpoints").glob("*"))

    tiny_loop(tmp_path, steps=24, checkpoint_seconds=0.0, show=show).run()
    assert {"step-00000009.safetensors", "step-00000008.safetensors"} <= set(steps)
    assert len(list((tmp_path / "checkpoints").iterdir())) == 2


def test_diverged_training_says_so(tmp_path: Path):
    rates = {"optimiser": "sgd", "learning_rates": (1e30,), "share": 0.5}
    with pytest.raises(FlawmapError, match="not a finite number at step") as caught:
        tiny_loop(tmp_path, steps=24, student_phase=rates).run()
    assert "\n" not in str(caught.value)


# --- signals


@pytest.mark.parametrize("number", [signal.SIGINT, *stopping_signals()])
def test_a_signal_leaves_a_checkpoint(tmp_path: Path, number):
    before = signal.getsignal(number)

    def show(progress: Progress) -> None:
        if progress.step == 10:
            signal.raise_signal(number)

    with pytest.raises(FlawmapError, match="Stopped after step 10 of 16"):
        tiny_loop(tmp_path, show=show).run()
    found = newest_checkpoint(tmp_path / "checkpoints")
    assert found is not None
    assert found.step == 10
    assert signal.getsignal(number) == before, "Ctrl-C is again what it was"


KILLED = """
import os, signal, sys
from pathlib import Path
from training.tiny import tiny_loop
def show(progress):
    if progress.step == 10:
        os.kill(os.getpid(), signal.SIGKILL)
tiny_loop(Path(sys.argv[1]), show=show, checkpoint_seconds=0.0).run()
"""


@pytest.mark.slow
@pytest.mark.posix
def test_kill_9_costs_nothing(tmp_path: Path, never_stopped):
    paths = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    threads = str(torch.get_num_threads())
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "OMP_NUM_THREADS": threads,
    }
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)], env=environment, check=False, timeout=120
    )
    assert killed.returncode == -signal.SIGKILL
    found = newest_checkpoint(tmp_path / "checkpoints")
    assert found is not None
    assert found.step == 9, "step 10 was logged, not yet kept"
    loop = tiny_loop(tmp_path)
    loop.run()
    expected, log = never_stopped("fast", "float32")
    assert all(torch.equal(v, expected[k]) for k, v in weights(loop).items())
    lines = read_log(tmp_path / "training.jsonl")
    assert [line["step"] for line in lines] == [line["step"] for line in log]
