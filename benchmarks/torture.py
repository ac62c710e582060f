"""Kill trainings (kill -9) at random moments; each resumed run must end with the same bits.

Each method is killed ten times, each time in a fresh run on a drawn product in a separate process:
at the start, in a step, while a checkpoint is written, at the end of a phase, in the export, and
while it writes its manifest and cleans up. The moments are drawn by seed. The files of each
resumed run are compared with those of an uninterrupted one. ``make torture`` takes some minutes.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import onnxscript  # noqa: F401 - imported once, before the runs are forked
import torch
from record import write_result

import flawmap
from flawmap.data.image_io.images import write_png
from flawmap.demonstration.drawing import draw_dataset
from flawmap.inspection.bundle.training_log import TRAINING_LOG, read_log
from flawmap.synthesis.textures import draw_textures
from flawmap.training import finalize
from flawmap.training.steps.loop import Loop
from flawmap.utils.files import digest

METHODS = ("destseg", "adps", "stpm")
MOMENTS = ("start",) * 2 + ("step",) * 3 + ("checkpoint",) * 2 + ("phase", "export", "manifest")
STEPS = 24
WRITING = 0.03  # seconds from the beginning of a file within which a kill falls
OPTIONS: dict[str, Any] = {
    "teacher": "pocket", "rotate": "slight", "steps": STEPS, "batch_size": 2, "size": (128, 128),
    "device": "cpu", "resume": True,
}  # fmt: skip
_fork = multiprocessing.get_context("fork")


class Trap:
    """Kill the process ``delay`` seconds after it reaches ``place``; record all places reached.

    Places are ``start``, ``step K``, ``export``, ``end`` and the name of a file that is begun.
    """

    def __init__(self, notes: Path, place: str = "", delay: float = 0.0) -> None:
        self.notes, self.place, self.delay = notes, place, delay
        self._began = time.monotonic()

    def reach(self, place: str) -> None:
        with self.notes.open("a", encoding="utf-8") as file:
            file.write(json.dumps([place, time.monotonic() - self._began]) + "\n")
        if place == self.place:
            self.place = ""
            threading.Timer(self.delay, os.kill, (os.getpid(), signal.SIGKILL)).start()

    def hear(self, event: str, args: tuple[Any, ...]) -> None:
        """Audit hook for the beginning of a file, under a temporary name."""
        if event == "flawmap.replacing":
            self.reach(Path(args[0]).name)


def train(method: str, folder: Path, trap: Trap, checkpoint_seconds: float) -> None:
    """Train or resume the run in ``folder``, with the trap set in this process."""
    step, finish = Loop.step, finalize.finish

    def stepping(loop: Loop, phase: Any, optimisers: Any, index: int) -> torch.Tensor:
        trap.reach(f"step {index + 1}")
        return step(loop, phase, optimisers, index)

    def finishing(*args: Any, **named: Any) -> Any:
        trap.reach("export")
        return finish(*args, **named)

    Loop.step, finalize.finish = stepping, finishing  # type: ignore[assignment,method-assign]
    sys.addaudithook(trap.hear)
    trap.reach("start")
    inputs = {"data": folder.parent / "data", "textures": folder.parent / "textures"}
    flawmap.train(
        out=folder, method=method, checkpoint_seconds=checkpoint_seconds, **inputs, **OPTIONS
    )
    trap.reach("end")


def in_process(work: Callable[[], None]) -> int:
    """Return the exit status of ``work`` in a forked process, negative if a signal ended it."""
    process = _fork.Process(target=work)
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def laps(notes: Path) -> dict[str, float]:
    """Return the seconds from the start at which each place was last reached, in order."""
    return dict(json.loads(line) for line in notes.read_text(encoding="utf-8").splitlines())


def draw_trap(moment: str, whole: Path, chance: random.Random) -> tuple[str, float]:
    """Return where to kill and how many seconds later, from an uninterrupted run's times."""
    at = laps(whole.with_suffix(".notes"))
    log = read_log(whole / TRAINING_LOG)
    phase_end = max(line["step"] for line in log if line["phase"] == log[0]["phase"])
    step = chance.randint(1, STEPS)
    place, seconds = {
        "start": ("start", at["step 1"]),
        "step": (f"step {step}", (at["export"] - at["step 1"]) / STEPS),
        "checkpoint": (f"step-{step:08d}.safetensors", WRITING),
        "phase": (f"step-{phase_end:08d}.safetensors", 10 * WRITING),
        "export": ("export", at["end"] - at["export"]),
        "manifest": ("manifest.json", WRITING),
    }[moment]
    return place, chance.uniform(0.0, seconds)


def kill_and_resume(method: str, moment: str, whole: Path, chance: random.Random) -> dict[str, Any]:
    """Kill a fresh run and resume it; return what was left and how it ended."""
    with tempfile.TemporaryDirectory(dir=whole.parent) as scratch:
        folder = Path(scratch) / "run"
        for name in ("data", "textures"):
            (folder.parent / name).symlink_to(whole.parent / name)
        place, delay = draw_trap(moment, whole, chance)
        every = 0.0 if moment == "checkpoint" else 0.5
        trap = Trap(folder.with_suffix(".notes"), place, delay)
        assert in_process(partial(train, method, folder, trap, every)) == -signal.SIGKILL
        steps = [name for name in laps(trap.notes) if name.startswith("step ")]
        left = [path.name for path in folder.rglob("*")]
        again = Trap(folder.with_suffix(".again"))
        assert in_process(partial(train, method, folder, again, 0.5)) == 0
        return {
            "method": method,
            "moment": moment,
            "seconds_after": {place: round(delay, 4)},
            "in_step": int(steps[-1].split()[1]) if steps else 0,
            "checkpoint": max((int(n[5:13]) for n in left if n.startswith("step-")), default=0),
            "half_written": sum(name.startswith(".") for name in left),
            "bit_identical": identical(folder, whole),
        }


def identical(folder: Path, whole: Path) -> bool:
    """Whether both have the same files, weights, model and thresholds."""
    if sorted(p.name for p in folder.iterdir()) != sorted(p.name for p in whole.iterdir()):
        return False
    actual, expected = (json.loads((f / "manifest.json").read_text()) for f in (folder, whole))
    return actual["calibration"] == expected["calibration"] and all(
        digest(folder / name) == digest(whole / name) == expected["files"][name]
        for name in ("weights.safetensors", "model.onnx")
    )


def main() -> None:
    """Draw the product, kill and resume, write the result; exit with status 1 if bits differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    chance = random.Random(parser.parse_args().seed)
    kills = []
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        draw_dataset(place / "data", 1, size=128, train_good=12, test_good=1, defective_per_type=0)
        (place / "textures").mkdir()
        for index, texture in enumerate(draw_textures(8, (128, 128), 0)):
            write_png(place / "textures" / f"{index}.png", texture)
        for method in METHODS:
            whole = place / method
            calm = Trap(whole.with_suffix(".notes"))
            assert in_process(partial(train, method, whole, calm, 0.5)) == 0
            for moment in MOMENTS:
                kills.append(kill_and_resume(method, moment, whole, chance))
                print(kills[-1], flush=True)
    same = sum(kill["bit_identical"] for kill in kills)
    write_result(
        "torture", steps=STEPS, threads=torch.get_num_threads(), bit_identical=same, kills=kills
    )
    sys.exit(same < len(kills))


if __name__ == "__main__":
    main()
