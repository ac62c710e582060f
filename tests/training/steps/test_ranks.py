"""Several processes that train together; the `long` tests start them by torchrun, as users do."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from flawmap.errors import UsageError
from flawmap.inspection.bundle.training_log import read_log
from flawmap.methods.modules.parallel import SyncedBatchNorm2d, batch_mean, synchronise_norms
from flawmap.training.steps.ranks import ALONE, Ranks, joined_ranks
from training.steps.rank_losses import CASES, losses

TESTS = Path(__file__).resolve().parents[2]
TRAIN = "--method stpm --size 64x64 --batch-size 4 --seed 3 --precision float32"


def torchrun(count: int, *words: object) -> list[str]:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    return [*launcher, "--nproc-per-node", str(count), *map(str, words)]


def environment() -> dict[str, str]:
    paths = [str(TESTS), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}


def run(command: list[str], timeout: float = 120) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=timeout, env=environment()
    )


def test_a_batch_is_cut_in_equal_slices():
    assert [Ranks(rank, 2).slice_of(4) for rank in (0, 1)] == [slice(0, 2), slice(2, 4)]
    with pytest.raises(UsageError, match=r"4 cannot be shared equally by 3.*--batch-size 6"):
        Ranks(0, 3).slice_of(4)


def test_a_single_process_is_left_alone(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with joined_ranks("auto") as ranks:
        assert ranks is ALONE
    loss, stop = ALONE.reduce_step([], torch.tensor(2.0), True)
    assert (float(loss), stop) == (2.0, True)
    assert ALONE.agree(True)
    assert not ALONE.agree(False)
    assert float(batch_mean(torch.tensor([1.0, 3.0]))) == 2.0


def test_norms_keep_their_state_and_alone_their_results():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    x = torch.randn(2, 3, 8, 8)
    names, expected = list(module.state_dict()), module(x)
    synchronise_norms(module)
    assert isinstance(module[1], SyncedBatchNorm2d)
    assert list(module.state_dict()) == names
    torch.testing.assert_close(module(x), expected, rtol=0, atol=0)


@pytest.mark.slow
def test_two_ranks_have_the_loss_curve_of_one(tmp_path: Path):
    shared = start_ranks(tmp_path / "shared.json", tmp_path)
    alone = {case: losses(case, tmp_path, ALONE) for case in CASES}
    for process in shared:
        _, stderr = process.communicate(timeout=120)
        assert process.returncode == 0, stderr
    curves = json.loads((tmp_path / "shared.json").read_text(encoding="utf-8"))
    assert curves.keys() == alone.keys()
    for case, curve in alone.items():
        assert curves[case] == pytest.approx(curve, rel=1e-6), case


def start_ranks(out: Path, folder: Path) -> list[subprocess.Popen[str]]:
    """Two processes that compute the losses together, with the variables that torchrun sets."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    program = Path(__file__).with_name("rank_losses.py")
    return [
        subprocess.Popen(
            [sys.executable, program, out, folder],
            env=environment() | meeting | {"WORLD_SIZE": "2", "RANK": rank, "LOCAL_RANK": rank},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in ("0", "1")
    ]


def words(data: Path, out: Path, textures: Path, *more: str) -> list[str]:
    given = ["-m", "flawmap", "train", data, "--out", out, "--textures", textures]
    return [*map(str, given), *TRAIN.split(), *more]


@pytest.mark.long
@pytest.mark.posix
def test_it_is_stopped_and_resumed_with_other_numbers_of_ranks(
    tiny_data: Path, tiny_textures: Path, tmp_path: Path
):
    out = tmp_path / "run"
    train = words(tiny_data, out, tiny_textures, "--steps", "30")
    for count, more in ((2, []), (1, ["--resume"])):
        command = torchrun(count, *train, *more) if count > 1 else [sys.executable, *train, *more]
        stop_in_training(command, out, signal.SIGTERM)
    done = run(torchrun(2, *words(tiny_data, out, tiny_textures, "--steps", "30", "--resume")))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Inspector: ") == 1, "one process reports"
    steps = [line["step"] for line in read_log(out / "training.jsonl")]
    assert steps == [10, 20, 30]
    assert not (out / "checkpoints").exists()


@pytest.mark.long
@pytest.mark.posix
def test_a_lost_process_ends_all_with_a_checkpoint(
    tiny_data: Path, tiny_textures: Path, tmp_path: Path
):
    out = tmp_path / "run"
    train = words(tiny_data, out, tiny_textures, "--steps", "4000")
    stderr = stop_in_training(torchrun(2, *train), out, signal.SIGKILL, rank=1)
    assert "checkpoint is kept" in stderr
    assert list((out / "checkpoints").glob("step-*.safetensors"))


def stop_in_training(
    command: list[str], out: Path, number: signal.Signals, rank: int | None = None
) -> str:
    """Start a training, send a signal once it logs steps (to a rank, or to the launcher)."""
    before = steps_logged(out)
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    )
    try:
        deadline = time.monotonic() + 60
        while steps_logged(out) <= before and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        os.kill(process.pid if rank is None else rank_process(process.pid, rank), number)
        _, stderr = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode != 0
    assert list((out / "checkpoints").glob("step-*.safetensors")), stderr
    return stderr


def steps_logged(out: Path) -> int:
    log = out / "training.jsonl"
    return len(read_log(log)) if log.is_file() else 0


def rank_process(launcher: int, rank: int) -> int:
    """The process of a rank among the launcher's children."""
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            status = (path.parent / "stat").read_text().rsplit(")", 1)[1].split()
            if int(status[1]) == launcher and f"RANK={rank}" in path.read_text().split("\0"):
                return int(path.parent.name)
        except OSError:
            continue
    raise AssertionError(f"no process of rank {rank}")
