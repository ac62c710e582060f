"""Does one model trained by two processes equal that of one? Losses, metrics, seconds.

``python benchmarks/ranks.py DATA`` trains ``fast`` in float32 three times: by one process with one
thread, by one with two threads, and by two processes of one thread each (torchrun, gloo). Result:
``benchmarks/results/ranks.json``. Ten minutes on two cores.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from record import write_result

WAYS = {"1 process, 1 thread": (1, 1), "1 process, 2 threads": (1, 2), "2 processes": (2, 1)}
METRICS = ("image_auroc", "pixel_auroc", "pixel_ap", "pro", "iap")


def train(data: Path, out: Path, processes: int, threads: int, options: list[str]) -> None:
    launcher = [sys.executable]
    if processes > 1:
        launcher += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
        launcher.append(str(processes))
    subprocess.run(
        [*launcher, "-m", "flawmap", "train", str(data), "--out", str(out), *options],
        env=os.environ | {"OMP_NUM_THREADS": str(threads)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )


def measure(data: Path, out: Path) -> dict[str, Any]:
    """Return metrics, seconds of training and the logged losses of a run."""
    found = out.with_suffix(".json")
    subprocess.run(
        [sys.executable, "-m", "flawmap", "evaluate", str(out), str(data), "--json", str(found)],
        stdout=subprocess.DEVNULL,
        check=True,
    )
    metrics = json.loads(found.read_text(encoding="utf-8"))
    log = (out / "training.jsonl").read_text(encoding="utf-8").splitlines()
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    return {
        "metrics": {name: metrics[name] for name in METRICS},
        "train_seconds": manifest["training"]["seconds"]["train"],
        "losses": [json.loads(line)["loss"] for line in log],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    options = ["--precision", "float32", "--seed", str(given.seed)]
    options += ["--steps", str(given.steps)] if given.steps else []
    ways = {}
    with tempfile.TemporaryDirectory() as folder:
        for number, (way, (processes, threads)) in enumerate(WAYS.items()):
            out = Path(folder) / str(number)
            train(given.data, out, processes, threads, options)
            ways[way] = measure(given.data, out)
    first = ways["1 process, 1 thread"]["losses"]
    for way in ways.values():
        gaps = [abs(a - b) for a, b in zip(way.pop("losses"), first, strict=True)]
        way["loss_gap"] = {"first": gaps[0], "mean": sum(gaps) / len(gaps), "largest": max(gaps)}
    write_result("ranks", data=given.data.name, options=options, ways=ways)


if __name__ == "__main__":
    main()
