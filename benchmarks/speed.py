"""Training speed: flawmap's steps compared with those of ``baseline.py``, in one run.

``python benchmarks/speed.py`` writes ``benchmarks/results/speed.json``. Rounds alternate, so that
other load on the machine affects all alike; medians are compared.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from baseline import Baseline
from record import ROOT, write_result

from flawmap.backbones.base import Backbone
from flawmap.backbones.weights import load_teacher
from flawmap.data.image_io.images import read_image, resize_image
from flawmap.methods.optimisation import build_optimisers
from flawmap.methods.registry import METHODS, find_preset
from flawmap.runtime.torch_device import choose_device
from flawmap.training.steps.ahead import drawn_ahead
from flawmap.training.steps.batches import BatchMaker
from flawmap.training.steps.device import choose_layout, choose_precision, exact
from flawmap.training.steps.graphs import WARM_UP, choose_graphs
from flawmap.training.steps.loop import Loop
from flawmap.types import Rotation

PHASES = ("student", "head")
_KEPT = 64  # images that flawmap holds decoded here

Steps = dict[str, Callable[[], object]]


# Measured combinations: preset, teacher, rotation. Without rotation the same images recur, and
# the teacher's features are cached.
OURS: dict[str, tuple[str, str, Rotation]] = {
    "paper": ("paper", "resnet18", "full"),
    "paper, not turned": ("paper", "resnet18", "none"),
    "fast resnet18": ("fast", "resnet18", "full"),
    "fast resnet18, not turned": ("fast", "resnet18", "none"),
    "fast pocket": ("fast", "pocket", "full"),
    "fast pocket, not turned": ("fast", "pocket", "none"),
}
FOR_A_GPU: dict[str, tuple[str, str, Rotation]] = {"best": ("best", "resnet18", "full")}


@dataclass(frozen=True)
class Shared:
    """Folder of data and weights, as ``../shared``."""

    folder: Path

    @property
    def images(self) -> list[Path]:
        """Good images of screw."""
        good = self.folder / "data" / "mvtec_ad_256" / "screw" / "train" / "good"
        return sorted(good.glob("*.png"))

    @property
    def textures(self) -> list[Path]:
        """Images of DTD."""
        return sorted((self.folder / "data" / "dtd_256").rglob("*.jpg"))

    def teacher(self, name: str) -> Backbone:
        """Return a new backbone."""
        file = self.folder / "weights" / "resnet18_imagenet_bnfolded.safetensors"
        return load_teacher(str(file) if name == "resnet18" else name)[0]


def ours(
    shared: Shared,
    preset: str,
    teacher: str,
    rotation: Rotation,
    batch: int | None,
    device: torch.device,
    stack: ExitStack,
) -> tuple[Steps, int]:
    """Return a training step of each phase of a preset, and its batch size.

    On CUDA it is as in ``flawmap train``: exact, with batches drawn ahead and as a graph.
    """
    config = find_preset("destseg", preset)
    config = config.model_copy(update={"batch_size": batch}) if batch else config
    method = METHODS["destseg"](shared.teacher(teacher), config)
    precision = choose_precision(device)
    layout = choose_layout(method.module, device, precision)
    method.module.to(device, memory_format=layout)  # type: ignore[call-overload]
    examples = [
        np.stack([resize_image(read_image(p), config.size) for p in paths[:_KEPT]])
        for paths in (shared.images, shared.textures)
    ]
    maker = BatchMaker(
        *examples, config.anomalies, config.batch_size, rotation, config.rotation_fill, 0, device,
        layout=layout,
    )  # fmt: skip
    folder = Path(tempfile.gettempdir())  # nothing is written
    ahead = stack.enter_context(drawn_ahead(maker))
    loop = Loop(method, method.phases(), ahead, 2, folder, device, precision)
    loop.graphs, loop.say = choose_graphs(device, asked=True, alone=True), print
    numbers = itertools.count()
    steps: Steps = {}
    for phase in method.phases():
        loop.set_modes(phase)
        optimisers, compute = build_optimisers(phase.groups, phase.config), loop.gradients_of(phase)

        def step(phase: Any = phase, optimisers: Any = optimisers, compute: Any = compute) -> None:
            loop.set_modes(phase)
            with exact(device):
                loop.step(phase, optimisers, next(numbers), compute)

        steps[phase.name] = step
    return steps, config.batch_size


def baseline(shared: Shared, batch: int, device: torch.device) -> Steps:
    """Return the baseline's step of each phase."""
    config = find_preset("destseg", "paper")
    model = METHODS["destseg"](shared.teacher("resnet18"), config).module.to(device)
    plain = Baseline(model, shared.images, shared.textures, batch)  # type: ignore[arg-type]
    return {"student": lambda: plain.step("student"), "head": lambda: plain.step("head")}


def shares(preset: str) -> dict[str, float]:
    """Return each phase's share of a preset's steps."""
    config = find_preset("destseg", preset)
    return {"student": config.student_phase.share, "head": config.head_phase.share}


def measure(
    shared: Shared, rounds: int, batch: int, repeats: int, device: torch.device, stack: ExitStack
) -> dict[str, Any]:
    """Return the seconds per image of every step, and the ratios to the baseline's."""
    todo: dict[str, tuple[Callable[[], object], int, int]] = {}
    plain = baseline(shared, batch, device)
    for name in PHASES:
        todo[f"baseline {name}"] = plain[name], batch, 1
    labels = OURS if device.type == "cpu" else OURS | FOR_A_GPU
    for label, (preset, teacher, rotation) in labels.items():
        own = batch if preset == "paper" else None
        steps, count = ours(shared, preset, teacher, rotation, own, device, stack)
        once = preset == "paper" and device.type == "cpu"
        for name in PHASES:
            todo[f"{label} {name}"] = steps[name], count, 1 if once else repeats
    laps: dict[str, list[float]] = {name: [] for name in todo}
    for number in range(rounds + 1):
        for name, (step, images, times) in todo.items():
            if not number and device.type == "cuda":
                _seconds(step, WARM_UP + 1, device)  # until the graph is captured
            lap = _seconds(step, times, device) / (images * times)
            if number:  # the first round warms up
                laps[name].append(lap)
    seconds = {name: statistics.median(values) for name, values in laps.items()}
    return {
        "batch": batch,
        "rounds": rounds,
        "device": str(device),
        "seconds_an_image": {k: round(v, 5) for k, v in seconds.items()},
        "speed_up": _speed_ups(seconds, labels),
    }


def _speed_ups(
    seconds: dict[str, float], labels: dict[str, tuple[str, str, Rotation]]
) -> dict[str, float]:
    """Return ratios of images per second; over both phases by the preset's own shares."""
    ratios = {
        f"{label}, {name} phase": seconds[f"baseline {name}"] / seconds[f"{label} {name}"]
        for label in labels
        if label.startswith("paper")
        for name in PHASES
    }
    presets = {"baseline": "paper"} | {label: preset for label, (preset, _, _) in labels.items()}
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
    parser.add_argument(
        "--repeats", type=int, default=6, help="steps in a round; paper on a CPU: one"
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared")
    given = parser.parse_args()
    device = choose_device(given.device)
    name = "speed" if device.type == "cpu" else f"speed_{device.type}"
    shared = Shared(given.shared)
    with ExitStack() as stack:
        found = measure(shared, given.rounds, given.batch, given.repeats, device, stack)
    write_result(name, **found)


if __name__ == "__main__":
    main()
