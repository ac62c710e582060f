"""Where the paper preset's head phase spends its time in bf16 on this CPU, one thread.

``python benchmarks/bf16_profile.py`` writes ``benchmarks/results/bf16_profile.json``: the share of
each operation, and how near convolutions come to the rate of a plain bf16 matrix product.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from record import ROOT, write_result
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from flawmap.backbones.weights import load_teacher
from flawmap.methods.batch import Batch
from flawmap.methods.optimisation import build_optimisers
from flawmap.methods.registry import METHODS, find_preset
from flawmap.training.steps.device import choose_layout
from flawmap.training.steps.loop import Loop
from flawmap.types import Precision

CPU = torch.device("cpu")
KINDS = {"bf16": torch.bfloat16, "float32": torch.float32}
CONVOLUTIONS = ("mkldnn_convolution", "convolution_backward", "_slow_conv2d")
_SIDE = 2048  # of the matrices
_SHOWN = 0.002  # smallest share that is listed
_FLAGS = ("amx_bf16", "amx_tile", "avx512_bf16", "avx512f", "avx2")


def step_of(batch: int, weights: Path, precision: Precision) -> Callable[[], object]:
    """Return a training step of the head phase on random images."""
    config = find_preset("destseg", "paper")
    method = METHODS["destseg"](load_teacher(str(weights))[0], config)
    layout = choose_layout(method.module, CPU, precision)
    method.module.to(memory_format=layout)  # type: ignore[call-overload]
    torch.manual_seed(0)
    clean = torch.rand(batch, 3, *config.size).contiguous(memory_format=layout)
    images = Batch(clean, clean.flip(0), (torch.rand(batch, 1, *config.size) > 0.95).float())
    phase = method.phases()[1]
    every = lambda number: images  # noqa: E731
    loop = Loop(method, method.phases(), every, 1, Path(), CPU, precision)  # type: ignore[arg-type]
    loop.set_modes(phase)
    optimisers = build_optimisers(phase.groups, phase.config)
    return lambda: loop.step(phase, optimisers, 0)


def matrix_rate(kind: torch.dtype) -> float:
    """Return the GFLOP/s of a plain matrix product, the median of three after a first."""
    a, b = (torch.rand(_SIDE, _SIDE).to(kind) for _ in range(2))
    laps = []
    for _ in range(4):
        start = time.perf_counter()
        a @ b
        laps.append(time.perf_counter() - start)
    return 2 * _SIDE**3 / statistics.median(laps[1:]) / 1e9


def own_seconds(step: Callable[[], object]) -> dict[str, float]:
    """Return the seconds that each operation of a step takes itself."""
    with profile(activities=[ProfilerActivity.CPU]) as found:
        step()
    return {e.key: e.self_cpu_time_total / 1e6 for e in found.key_averages()}


def is_convolution(operation: str) -> bool:
    """Return whether the operation's own time is a convolution's arithmetic."""
    return operation.removeprefix("aten::").startswith(CONVOLUTIONS)


def measure(steps: int, batch: int, weights: Path, precision: Precision) -> dict[str, Any]:
    """Return shares and rates of the head phase."""
    step = step_of(batch, weights, precision)
    step()
    with FlopCounterMode(display=False) as flops:
        step()
    gflop = flops.get_total_flops() / 1e9
    laps, rates = [], []
    for _ in range(steps):  # in turn, so that other work on the machine slows both
        laps.append(own_seconds(step))
        rates.append({name: matrix_rate(kind) for name, kind in KINDS.items()})
    seconds = [sum(lap.values()) for lap in laps]
    total: Counter[str] = Counter()
    for lap in laps:
        total.update(lap)
    found = {name: value / sum(seconds) for name, value in total.items()}
    listed = sorted(found.items(), key=lambda item: -item[1])
    share = sum(value for name, value in found.items() if is_convolution(name))
    whole = [gflop / s for s in seconds]
    ratio = statistics.median(w / rate[precision] for w, rate in zip(whole, rates, strict=True))
    return {
        "precision": precision,
        "steps": steps,
        "batch": batch,
        "threads": torch.get_num_threads(),
        "instructions": _instructions(),
        "seconds_a_step": round(statistics.median(seconds), 3),
        "convolution_share": round(share, 4),
        "largest_other_share": round(max(v for k, v in listed if not is_convolution(k)), 4),
        "shares": {k: round(v, 4) for k, v in listed if v >= _SHOWN},
        "gflop_a_step": round(gflop, 1),
        "step_gflops": round(statistics.median(whole), 1),
        "matrix_gflops": {k: round(statistics.median(r[k] for r in rates), 1) for k in KINDS},
        "step_to_matrix": round(ratio, 3),
        "convolution_to_matrix": round(ratio / share, 3),
    }


def _instructions() -> list[str]:
    said = subprocess.run(["lscpu"], capture_output=True, text=True, check=False).stdout.split()
    return [flag for flag in _FLAGS if flag in said]


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--precision", choices=["bf16", "float32"], default="bf16")
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    weights = given.shared / "weights" / "resnet18_imagenet_bnfolded.safetensors"
    name = "bf16_profile" if given.precision == "bf16" else f"{given.precision}_profile"
    write_result(name, **measure(given.steps, given.batch, weights, given.precision))


if __name__ == "__main__":
    main()
