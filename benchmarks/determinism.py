"""Check that the same seed gives the same bits: repeated trainings, all threads against one.

``python benchmarks/determinism.py`` trains each method three times for a few steps on a drawn
product, inspects its images with each number of threads on each backend, and writes
``benchmarks/results/determinism.json``. It takes two minutes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from record import write_result
from safetensors.numpy import load_file

import flawmap
from flawmap.demonstration.drawing import draw_dataset
from flawmap.utils.files import digest
from flawmap.utils.hardware import available_cores

METHODS = ("destseg", "adps", "stpm")
STEPS = 40
WEIGHTS = "weights.safetensors"


def train(data: Path, out: Path, method: str, threads: int) -> Path:
    """Run a short training in a separate process; return its folder."""
    options = ["--method", method, "--steps", str(STEPS), "--batch-size", "4", "--rotate", "slight"]
    subprocess.run(
        [sys.executable, "-m", "flawmap", "train", str(data), "--out", str(out), *options],
        env=os.environ | {"OMP_NUM_THREADS": str(threads)},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return out


def furthest(one: Path, other: Path) -> dict[str, Any]:
    """Return the largest differences of two runs' weights and held-out scores."""
    weights = [load_file(run / WEIGHTS) for run in (one, other)]
    apart = max(float(np.abs(w - weights[1][name]).max()) for name, w in weights[0].items())
    scores = [
        np.array(flawmap.Inspector.load(run).manifest.calibration.scores) for run in (one, other)
    ]
    return {
        "bit_identical": digest(one / WEIGHTS) == digest(other / WEIGHTS),
        "weights_max": apart,
        "scores_max": float(np.abs(scores[0] - scores[1]).max()),
    }


def inspected(run: Path, images: list[Path], backend: str, threads: int) -> Any:
    """Return the maps and the scores of the images."""
    inspector = flawmap.Inspector.load(run, backend=backend, threads=threads)
    inspections = [inspector.inspect(path) for path in images]
    return np.stack([one.anomaly_map for one in inspections]), np.array(
        [one.score for one in inspections]
    )


def main() -> None:
    """Train, inspect and compare; write the result."""
    cores = available_cores()
    result: dict[str, Any] = {
        "threads": [cores, 1],
        "steps": STEPS,
        "training": {},
        "inspecting": {},
    }
    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch) / "data"
        draw_dataset(data, seed=0)
        images = sorted(data.rglob("*.png"))[:24]
        for method in METHODS:
            place = Path(scratch) / method
            runs = [
                train(data, place.with_name(f"{method}-{name}"), method, threads)
                for name, threads in (("a", cores), ("b", cores), ("c", 1))
            ]
            result["training"][method] = {
                "again": furthest(runs[0], runs[1]),
                "on_one_thread": furthest(runs[0], runs[2]),
            }
            for backend in ("onnxruntime", "openvino"):
                first, again, alone = (
                    inspected(runs[0], images, backend, n) for n in (cores, cores, 1)
                )
                result["inspecting"][f"{method} {backend}"] = {
                    "again_bit_identical": all(
                        np.array_equal(x, y) for x, y in zip(first, again, strict=True)
                    ),
                    "on_one_thread_map_max": float(np.abs(first[0] - alone[0]).max()),
                    "on_one_thread_score_max": float(np.abs(first[1] - alone[1]).max()),
                }
    write_result("determinism", **result)


if __name__ == "__main__":
    main()
