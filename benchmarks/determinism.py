"""Same seed, same bits? The same training twice, and with one thread in place of all.

``python benchmarks/determinism.py`` trains a product that flawmap draws for a moment, three times a
method, and inspects its pictures with each number of threads on each backend; result:
``benchmarks/results/determinism.json``. Two minutes.
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
    """A short training in a process of its own."""
    options = ["--method", method, "--steps", str(STEPS), "--batch-size", "4", "--rotate", "slight"]
    subprocess.run(
        [sys.executable, "-m", "flawmap", "train", str(data), "--out", str(out), *options],
        env=os.environ | {"OMP_NUM_THREADS": str(threads)},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return out


def furthest(one: Path, other: Path) -> dict[str, Any]:
    """How far the weights of two runs are apart, and the scores on their held-out images."""
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


def inspected(run: Path, pictures: list[Path], backend: str, threads: int) -> Any:
    """Maps and scores."""
    inspector = flawmap.Inspector.load(run, backend=backend, threads=threads)
    seen = [inspector.inspect(path) for path in pictures]
    return np.stack([one.anomaly_map for one in seen]), np.array([one.score for one in seen])


def main() -> None:
    """Train, inspect, compare."""
    cores = available_cores()
    found: dict[str, Any] = {
        "threads": [cores, 1],
        "steps": STEPS,
        "training": {},
        "inspecting": {},
    }
    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch) / "data"
        draw_dataset(data, seed=0)
        pictures = sorted(data.rglob("*.png"))[:24]
        for method in METHODS:
            place = Path(scratch) / method
            runs = [
                train(data, place.with_name(f"{method}-{name}"), method, threads)
                for name, threads in (("a", cores), ("b", cores), ("c", 1))
            ]
            found["training"][method] = {
                "again": furthest(runs[0], runs[1]),
                "on_one_thread": furthest(runs[0], runs[2]),
            }
            for backend in ("onnxruntime", "openvino"):
                first, again, alone = (
                    inspected(runs[0], pictures, backend, n) for n in (cores, cores, 1)
                )
                found["inspecting"][f"{method} {backend}"] = {
                    "again_bit_identical": all(
                        np.array_equal(x, y) for x, y in zip(first, again, strict=True)
                    ),
                    "on_one_thread_map_max": float(np.abs(first[0] - alone[0]).max()),
                    "on_one_thread_score_max": float(np.abs(first[1] - alone[1]).max()),
                }
    write_result("determinism", **found)


if __name__ == "__main__":
    main()
