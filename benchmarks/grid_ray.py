"""Does ``bench grid --on ray`` measure the suite as this machine alone does, and survive a kill?

``python benchmarks/grid_ray.py [--steps 40]`` trains every product of ``suite.yaml`` with one seed
and few steps: once with two local workers; then on a Ray cluster of two nodes, where the process
of the first training is killed, the bench itself is killed after two results, and started again.
Compared are names of result files and metrics; stated is what was trained how often. Result:
``benchmarks/results/grid_ray.json``. Needs the extra ``cluster``; 15 minutes on two cores.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml
from record import ROOT, write_result

METRICS = ("image_auroc", "pixel_auroc", "pixel_ap", "pro", "iap")
# A cluster of two nodes on this machine, until standard input ends.
CLUSTER = """
import sys
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
cluster.add_node(num_cpus=1)
cluster.wait_for_nodes()
print(cluster.address, flush=True)
sys.stdin.read()
cluster.shutdown()
"""


def write_grid(place: Path, steps: int) -> Path:
    """Write the suite's grid with one seed and these steps."""
    source = ROOT / "benchmarks" / "suite.yaml"
    grid: dict[str, Any] = yaml.safe_load(source.read_text(encoding="utf-8"))
    grid |= {"seed": 0, "steps": steps}
    for product in grid["products"]:
        product["data"] = str((source.parent / product["data"]).resolve())
    path = place / "grid.yaml"
    path.write_text(yaml.safe_dump(grid), encoding="utf-8")
    return path


def start(grid: Path, out: Path, log: Path, *options: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "flawmap", "bench", str(grid), "--out", str(out), *options]
    with log.open("ab") as file:
        return subprocess.Popen(command, stdout=file, stderr=file, start_new_session=True)


def training_processes(steps: int) -> list[int]:
    """Return the processes that run ``flawmap train`` with these steps now."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"train" in words and (b"--steps", b"%d" % steps) in itertools.pairwise(words):
            found.append(int(entry.parent.name))
    return found


def on_ray(grid: Path, out: Path, log: Path, steps: int) -> dict[str, int]:
    """Measure on a cluster; kill the first training once and the bench after two results."""
    with subprocess.Popen(
        [sys.executable, "-c", CLUSTER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as cluster:
        assert cluster.stdout is not None
        address = cluster.stdout.readline().strip()
        bench = start(grid, out, log, "--on", address)
        while not (running := training_processes(steps)):
            assert bench.poll() is None, log.read_text(encoding="utf-8")
            time.sleep(0.5)
        time.sleep(8.0)
        os.kill(running[0], signal.SIGKILL)
        while len(list(out.glob("*.json"))) < 2:
            assert bench.poll() is None, log.read_text(encoding="utf-8")
            time.sleep(0.5)
        os.killpg(bench.pid, signal.SIGKILL)
        bench.wait()
        before = {path.name: path.stat().st_mtime_ns for path in out.glob("*.json")}
        again = start(grid, out, log, "--on", address)
        assert again.wait() == 0, log.read_text(encoding="utf-8")
        kept = sum((out / name).stat().st_mtime_ns == at for name, at in before.items())
        cluster.communicate()
    return {"results_before_the_kill": len(before), "kept_by_the_second_bench": kept}


def metrics(folder: Path) -> dict[str, dict[str, float]]:
    found = {}
    for path in sorted(folder.glob("*.json")):
        result = json.loads(path.read_text(encoding="utf-8"))
        found[path.name] = {name: result["figures"][name] for name in METRICS}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=40)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        grid = write_grid(place, given.steps)
        begun = time.perf_counter()
        local = start(grid, place / "local", place / "log", "--workers", "2")
        assert local.wait() == 0, (place / "log").read_text(encoding="utf-8")
        middle = time.perf_counter()
        survived = on_ray(grid, place / "ray", place / "ray.log", given.steps)
        seconds = {"local": middle - begun, "ray": time.perf_counter() - middle}
        here, there = metrics(place / "local"), metrics(place / "ray")
        lines = (place / "ray.log").read_text(encoding="utf-8").splitlines()
    differences = [
        abs(here[file][metric] - there[file][metric]) for file in here for metric in METRICS
    ]
    write_result(
        "grid_ray",
        products=len(here),
        steps=given.steps,
        same_files=sorted(here) == sorted(there),
        largest_difference_of_a_metric=max(differences),
        seconds={name: round(value, 1) for name, value in seconds.items()},
        lines_about_kills=[line for line in lines if "again" in line or "killed" in line],
        **survived,
        metrics=here,
    )


if __name__ == "__main__":
    main()
