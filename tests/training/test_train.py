"""A run from beginning to end, and one that is killed on its way."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import flawmap
from flawmap import FlawmapError, UsageError
from flawmap.data.layouts import open_dataset
from flawmap.data.store import fingerprint
from flawmap.inspection.bundle.manifest import read_manifest
from flawmap.inspection.bundle.models import file_digest
from flawmap.training.good_images.split import Part
from flawmap.training.steps.loop import Reporter

STEPS, SIZE = 12, (128, 128)  # as the fixture's run
# the command line itself, but for a checkpoint after every step
FLAWMAP = """
import functools
import flawmap
flawmap.train = functools.partial(flawmap.train, checkpoint_seconds=0.0)
from flawmap.cli import main
main()
"""

Start = Callable[[], "subprocess.Popen[str]"]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.fixture
def start(
    out: Path,
    tiny_data: Path,
    tiny_textures: Path,
    flawmap_process: tuple[list[str], dict[str, str]],
) -> Iterator[Start]:
    """Start or resume ``flawmap train`` in a process of its own, as the fixture's run was."""
    options = ["--teacher", "pocket", "--rotate", "slight", "--steps", str(STEPS)]
    options += ["--batch-size", "2", "--size", "128x128"]
    options += ["--textures", str(tiny_textures), "--resume"]
    command = [sys.executable, "-c", FLAWMAP, "train", str(tiny_data), "--out", str(out), *options]
    started: list[subprocess.Popen[str]] = []

    def begin() -> subprocess.Popen[str]:
        started.append(
            subprocess.Popen(
                command,
                env=flawmap_process[1],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def newest(out: Path) -> int:
    found = [int(p.stem.partition("-")[2]) for p in out.glob("checkpoints/step-*.safetensors")]
    return max(found, default=0)


def wait_for_step(process: subprocess.Popen[str], out: Path, step: int) -> None:
    while newest(out) < step:
        if process.poll() is not None:
            pytest.fail(f"ended before step {step}: {process.communicate()}")
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.posix
def test_stopped_and_killed_and_resumed_ends_with_the_same_bits(
    start: Start, out: Path, tiny_run: Path, tiny_data: Path, tiny_textures: Path
) -> None:
    process = start()
    wait_for_step(process, out, 1)
    process.send_signal(signal.SIGSTOP)
    others_keep_out(out, tiny_data, tiny_textures)
    process.send_signal(signal.SIGCONT)
    end_by_ctrl_c(process, out)
    with pytest.raises(UsageError, match="This run was started with"):  # no longer locked
        flawmap.train(tiny_data, out, textures=tiny_textures, resume=True, seed=9, rotate="none")
    process = start()
    wait_for_step(process, out, newest(out) + 1)
    time.sleep(random.Random(17).uniform(0, 0.5))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    with pytest.raises(FlawmapError, match="--resume"):
        flawmap.Inspector.load(out)
    finish_here(out, tiny_data, tiny_textures)
    check_same(out, tiny_run)


def finish_here(out: Path, data: Path, textures: Path) -> None:
    """Resume in this process, on one core for the same bits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        flawmap.train(
            data, out, teacher="pocket", rotate="slight", steps=STEPS, batch_size=2, size=SIZE,
            textures=textures, resume=True,
        )  # fmt: skip
    finally:
        torch.set_num_threads(threads)


def others_keep_out(out: Path, data: Path, textures: Path) -> None:
    before = sorted(out.rglob("*"))
    with pytest.raises(FlawmapError, match="Another process is writing"):
        flawmap.train(data, out, textures=textures, resume=True)
    with pytest.raises(UsageError, match="holds a run already"):
        flawmap.train(data, out, textures=textures)
    assert sorted(out.rglob("*")) == before


def end_by_ctrl_c(process: subprocess.Popen[str], out: Path) -> None:
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 1
    (message,) = [line for line in errors.splitlines() if line.startswith("flawmap: ")]
    assert f"Stopped after step {newest(out)} of {STEPS}" in message
    assert "--resume" in message
    assert 1 <= newest(out) < STEPS


def check_same(out: Path, never_stopped: Path) -> None:
    for name in ("weights.safetensors", "model.onnx"):
        assert (out / name).read_bytes() == (never_stopped / name).read_bytes(), name
    found, whole = read_manifest(out), read_manifest(never_stopped)
    assert found.calibration == whole.calibration
    assert found.files == whole.files
    assert steps_logged(out) == steps_logged(never_stopped)
    logged = json.loads((out / "training.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    assert found.training.seconds["train"] >= logged["seconds"], "those before the stops, too"
    assert not (out / "checkpoints").exists()
    assert not list(out.rglob(".*")), "no temporary file is left"


def steps_logged(run: Path) -> list[tuple[int, str]]:
    lines = (run / "training.jsonl").read_text(encoding="utf-8").splitlines()
    return [(x["step"], x["phase"]) for x in map(json.loads, lines)]


def test_a_run_leaves_an_inspector_and_nothing_else(tiny_run: Path) -> None:
    assert sorted(p.name for p in tiny_run.iterdir()) == [
        "manifest.json", "model.onnx", "settings.json", "training.jsonl", "weights.safetensors",
    ]  # fmt: skip


def test_what_a_run_says(tiny_run: Path) -> None:
    said = (tiny_run.parent / "said.txt").read_text(encoding="utf-8")
    for piece in (
        "MVTec AD layout: 10 good to train on",
        "5 good images to train on, 5 held out for the thresholds",
        "Rotation: slight, as asked for.",
        f"{STEPS} steps of 2",
        "at most 16.7% on average will be rejected",
        f"Inspector: {tiny_run}",
    ):
        assert piece in said
    assert "Warning" not in said, "what libraries have to say to their developers is not for users"


def test_manifest_tells_how_it_was_trained(tiny_run: Path, tiny_data: Path) -> None:
    import hashlib

    manifest = read_manifest(tiny_run)
    training = manifest.training
    paths = open_dataset(tiny_data).good_train
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    assert training.fingerprint == fingerprint(digests)
    assert set(training.trained_on) < set(digests)
    assert (training.steps, training.seed, training.rotation) == (STEPS, 0, "slight")
    assert manifest.parity.images == 5
    assert max(manifest.parity.map, manifest.parity.score) <= manifest.parity.limit == 1e-4
    assert manifest.configuration["batch_size"] == 2
    assert {"python", "torch", "onnxruntime", "flawmap"} <= set(manifest.versions)
    for name, digest in manifest.files.items():
        assert file_digest(tiny_run, name) == digest


@pytest.mark.parametrize("count", [6, 7, 10, 24, 25, 26, 48, 391])
def test_split_holds_out_a_fifth_and_at_least_five(count: int) -> None:
    split = Part().split(np.arange(count), 3)
    assert len(split.held) == max(5, round(0.2 * count))
    assert not len(split.set_aside)
    assert sorted([*split.train, *split.held]) == list(range(count))
    assert list(split.train) == sorted(split.train)
    again = Part().split(np.arange(count), 3)
    assert list(again.held) == list(split.held)


def test_split_depends_on_the_seed() -> None:
    held = {tuple(Part().split(np.arange(60), seed).held) for seed in range(5)}
    assert len(held) == 5


def test_a_complete_run_is_not_trained_again(tiny_run: Path, tiny_data: Path) -> None:
    said: list[str] = []
    found = flawmap.train(tiny_data, tiny_run, resume=True, reporter=Reporter(say=said.append))
    assert found.manifest == read_manifest(tiny_run)
    assert "already complete" in said[0]


def test_a_run_killed_while_it_tidied_is_tidied_by_resuming(
    run_copy: Path, tiny_data: Path
) -> None:
    before = sorted(run_copy.iterdir())
    checkpoints = run_copy / "checkpoints"
    checkpoints.mkdir()
    for left in (checkpoints / "step-00000012.safetensors", run_copy / ".flawmap-7.0123abcd.tmp"):
        left.touch()
    flawmap.train(tiny_data, run_copy, resume=True)
    assert sorted(run_copy.iterdir()) == before


@pytest.fixture
def begun(tiny_run: Path, out: Path) -> Path:
    """A run that was killed before its first checkpoint."""
    out.mkdir()
    shutil.copy(tiny_run / "settings.json", out)
    return out


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"steps": 14}, "steps = 12, now it is 14"),
        ({"batch_size": 3}, "batch_size = 2, now it is 3"),
        ({"seed": 1}, "seed = 0, now it is 1"),
        ({"rotate": "full"}, "rotation = 'slight', now it is 'full'"),
    ],
)
def test_resuming_with_other_settings_is_refused(
    begun: Path,
    tiny_data: Path,
    tiny_textures: Path,
    change: dict[str, Any],
    told: str,
) -> None:
    before = (begun / "settings.json").read_bytes()
    options: dict[str, Any] = {"steps": STEPS, "batch_size": 2, "rotate": "slight"}
    options |= {"size": SIZE} | change
    with pytest.raises(UsageError, match="another --out") as caught:
        flawmap.train(
            tiny_data, begun, teacher="pocket", textures=tiny_textures, resume=True, **options
        )
    assert told in str(caught.value)
    assert (begun / "settings.json").read_bytes() == before


def test_resuming_with_other_images_is_refused(
    begun: Path, tiny_data: Path, tiny_textures: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    shutil.copytree(tiny_data, data)
    (data / "train" / "good" / "000.png").unlink()
    with pytest.raises(UsageError, match="other good images"):
        flawmap.train(
            data, begun, teacher="pocket", textures=tiny_textures, resume=True,
            steps=STEPS, batch_size=2, rotate="slight", size=SIZE,
        )  # fmt: skip


def test_damaged_settings_are_named(begun: Path, tiny_data: Path, tiny_textures: Path) -> None:
    (begun / "settings.json").write_text("{", encoding="utf-8")
    with pytest.raises(FlawmapError, match=r"settings\.json is damaged"):
        flawmap.train(tiny_data, begun, teacher="pocket", textures=tiny_textures, resume=True)


def test_a_run_begun_is_not_written_over(begun: Path, tiny_data: Path) -> None:
    with pytest.raises(UsageError, match="--resume"):
        flawmap.train(tiny_data, begun, teacher="pocket")
