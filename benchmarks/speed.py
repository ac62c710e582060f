"""Training speed: flawmap's steps compared with those of ``baseline.py``, in one run.

``python benchmarks/speed.py`` writes ``benchmarks/results/speed.json``. Rounds alternate, so that
other load on the machine affects all alike; medians are compared.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from baseline import Baseline
from record import ROOT, write_result

from flawmap.backbones.weights import load_teacher
from flawmap.data.image_io.images import read_image, resize_image
from flawmap.methods.optimisation import build_optimisers
from flawmap.methods.registry import METHODS, find_preset
from flawmap.runtime.torch_device import choose_device
from flawmap.training.steps.batches import BatchMaker
from flawmap.training.steps.device import choose_layout, choose_precision
from flawmap.training.steps.loop import Loop
from flawmap.types import Rotation

SHARED = ROOT.parent / "shared"
IMAGES = sorted((SHARED / "data" / "mvtec_ad_256" / "screw" / "train" / "good").glob("*.png"))
TEXTURES = sorted((SHARED / "data" / "dtd_256").rglob("*.jpg"))
RESNET = str(SHARED / "weights" / "resnet18_imagenet_bnfolded.safetensors")
PHASES = ("student", "head")
_KEPT = 64  # images that flawmap holds decoded here

Steps = dict[str, Callable[[], object]]


# Measured combinations: preset, teacher, rotation. Without rotation the same images recur, and
# the teacher's features are cached.
OURS: dict[str, tuple[str, str, Rotation]] = {
    "paper": ("paper", RESNET, "full"),
    "paper, not turned": ("paper", RESNET, "none"),
    "fast resnet18": ("fast", RESNET, "full"),
    "fast resnet18, not turned": ("fast", RESNET, "none"),
    "fast pocket": ("fast", "pocket", "full"),
    "fast pocket, not turned": ("fast", "pocket", "none"),
}


def ours(
    preset: str, teacher: str, rotation: Rotation, batch: int | None, device: torch.device
) -> tuple[Steps, int]:
    """Return a training step of each phase of a preset, and its batch size."""
    config = find_preset("destseg", preset)
    config = config.model_copy(update={"batch_size": batch}) if batch else config
    method = METHODS["destseg"](load_teacher(teacher)[0], config)
    precision = choose_precision(device)
    layout = choose_layout(method.module, device, precision)
    method.module.to(device, memory_format=layout)  # type: ignore[call-overload]
    examples = [
        np.stack([resize_image(read_image(p), config.size) for p in paths[:_KEPT]])
        for paths in (IMAGES, TEXTURES)
    ]
    batches = BatchMaker(
        *examples, config.anomalies, config.batch_size, rotation, config.rotation_fill, 0, device,
        layout=layout,
    )  # fmt: skip
    folder = Path(tempfile.gettempdir())  # nothing is written
    loop = Loop(method, batches, 2, folder, device, precision)
    steps: Steps = {}
    for phase in method.phases():
        optimisers = build_optimisers(phase.groups, phase.config)

        def step(phase: Any = phase, optimisers: Any = optimisers) -> None:
            loop.set_modes(phase)
            loop.step(phase, optimisers, 3)

        steps[phase.name] = step
    return steps, config.batch_size


def baseline(batch: int, device: torch.device) -> Steps:
    """Return the baseline's step of each phase."""
    config = find_preset("destseg", "paper")
    model = METHODS["destseg"](load_teacher(RESNET)[0], config).module.to(device)
    plain = Baseline(model, IMAGES, TEXTURES, batch)  # type: ignore[arg-type]
    return {"student": lambda: plain.step("student"), "head": lambda: plain.step("head")}


def shares(preset: str) -> dict[str, float]:
    """Return each phase's share of a preset's steps."""
    config = find_preset("destseg", preset)
    return {"student": config.student_phase.share, "head": config.head_phase.share}


def measure(rounds: int, batch: int, repeats: int, device: torch.device) -> dict[str, Any]:
    """Return the seconds per image of every step, and the ratios to the baseline's."""
    todo: dict[str, tuple[Callable[[], object], int, int]] = {}
    plain = baseline(batch, device)
    for name in PHASES:
        todo[f"baseline {name}"] = plain[name], batch, 1
    for label, (preset, teacher, rotation) in OURS.items():
        own = batch if preset == "paper" else None
        steps, count = ours(preset, teacher, rotation, own, device)
        for name in PHASES:
            todo[f"{label} {name}"] = steps[name], count, 1 if preset == "paper" else repeats
    laps: dict[str, list[float]] = {name: [] for name in todo}
    for number in range(rounds + 1):
        for name, (step, images, times) in todo.items():
            lap = _seconds(step, times, device) / (images * times)
            if number:  # the first round warms up
                laps[name].append(lap)
    seconds = {name: statistics.median(values) for name, values in laps.items()}
    return {
        "batch": batch,
        "rounds": rounds,
        "device": str(device),
        "seconds_an_image": {k: round(v, 5) for k, v in seconds.items()},
        "speed_up": _speed_ups(seconds),
    }


def _speed_ups(seconds: dict[str, float]) -> dict[str, float]:
    """Return ratios of images per second; over both phases by the preset's own shares."""
    ratios = {
        f"{label}, {name} phase": seconds[f"baseline {name}"] / seconds[f"{label} {name}"]
        for label in OURS
        if label.startswith("paper")
        for name in PHASES
    }
    presets = {"baseline": "paper"} | {label: preset for label, (preset, _, _) in OURS.items()}
    whole = {
        label: sum(share * seconds[f"{label} {name}"] for name, share in shares(preset).items())
        for label, preset in presets.items()
    }
    ratios |= {
        f"{label}, both phases": whole["baseline"] / value
        for label, value in whole.items()
        if label != "baseline"
    }
    return {k: round(v, 2) for k, v in ratios.items()}


def _seconds(step: Callable[[], object], times: int, device: torch.device) -> float:
    start = time.perf_counter()
    for _ in range(times):
        step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=8, help="of the paper's networks")
    parser.add_argument("--repeats", type=int, default=6, help="steps of fast in a round")
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    device = choose_device(given.device)
    name = "speed" if device.type == "cpu" else f"speed_{device.type}"
    write_result(name, **measure(given.rounds, given.batch, given.repeats, device))


if __name__ == "__main__":
    main()
