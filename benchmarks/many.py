"""Images per second of ``flawmap predict`` by threads, processes and a Ray cluster.

``python benchmarks/many.py RUN [--images 1000] [--small 5000] [--repeat 3]`` draws PNG files and
inspects them with RUN, as ``flawmap predict`` does: 1,000 of 1024x1024 by threads and by processes,
with and without the packages of the extra ``fast-decode``; and 5,000 of 256x256 also by a Ray
cluster of two nodes, of which one is killed half-way. Ways alternate, and medians are compared,
as machines are noisy. Result: ``benchmarks/results/many.json``. Needs the extra ``cluster``; 15
minutes on two cores.

Seconds are from the first record to the last, so that the start of processes, which is stated
apart, does not count.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from record import write_result

from flawmap.data.image_io.images import encode_png
from flawmap.utils.hardware import available_cores

# Another process inspects: hidden packages stay hidden in it, and in what it starts.
CALL = """
import json, os, sys, time
from pathlib import Path
import flawmap

run, folder, on, out, kill = json.loads(sys.argv[1])
if not json.loads(sys.argv[2]):  # without the extra fast-decode, also in workers
    from importlib import invalidate_caches
    for name in ("kornia_rs", "simplejpeg"):
        path = Path(out + "-hidden") / name
        path.mkdir(parents=True, exist_ok=True)
        (path / "__init__.py").write_text("raise ImportError('hidden')")
    sys.path.insert(0, out + "-hidden")
    invalidate_caches()
marks, records = [], []

def show(record, total):
    marks.append(time.perf_counter())
    if kill and len(marks) == total // 2:
        cluster.remove_node(node, allow_graceful=False)

if on == "cluster":
    from ray.cluster_utils import Cluster
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    node = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    on = cluster.address
begun = time.perf_counter()
found = flawmap.predict(run, folder, on=on, show=show)
first = marks[0] - begun
lines = [r.model_copy(update={"milliseconds": None}).to_json() for r in found]
Path(out).write_text(json.dumps({
    "start_seconds": first, "seconds": marks[-1] - marks[0], "images": len(found),
    "half_seconds": marks[len(marks) // 2 - 1] - marks[0], "records": lines,
}))
os._exit(0)  # without waiting for the cluster
"""


def draw(folder: Path, count: int, size: int) -> Path:
    """Draw ``count`` smooth, noisy colour images, of about the compression of photographs."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:size, :size] / size
    for number in range(min(count, 50)):
        waves = [np.sin(9 * rng.random() * (rows + rng.random() * columns)) for _ in range(3)]
        image = 128 + 80 * np.stack(waves, axis=2) + rng.normal(0, 4, (size, size, 3))
        (folder / f"{number}.png").write_bytes(encode_png(image.clip(0, 255).astype(np.uint8)))
    for number in range(50, count):
        (folder / f"{number}.png").hardlink_to(folder / f"{number % 50}.png")
    return folder


def measure(
    run: Path, folder: Path, on: str, out: Path, *, fast: bool = True, kill: bool = False
) -> dict[str, Any]:
    """Inspect a folder in a process of its own."""
    task = json.dumps([str(run), str(folder), on, str(out), kill])
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", CALL, task, json.dumps(fast)], check=True)
    found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    found["images_per_s"] = (found["images"] - 1) / found["seconds"]
    print(f"{on:8} fast={fast} kill={kill}: {found['images_per_s']:7.2f} images/s,"
          f" {time.perf_counter() - begun:.0f} s in all", flush=True)  # fmt: skip
    return found


def summary(found: list[dict[str, Any]]) -> dict[str, Any]:
    rates = [one["images_per_s"] for one in found]
    starts = [one["start_seconds"] for one in found]
    return {
        "images": found[0]["images"],
        "images_per_s": round(statistics.median(rates), 2),
        "all_images_per_s": [round(rate, 2) for rate in rates],
        "start_seconds": round(statistics.median(starts), 2),
        "all_seconds": [round(one["start_seconds"] + one["seconds"], 1) for one in found],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--images", type=int, default=1000, help="of 1024x1024")
    parser.add_argument("--small", type=int, default=5000, help="of 256x256")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--dry", action="store_true", help="write no result file")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        results = compare(given.run, Path(place), given.images, given.small, given.repeat)
    if given.dry:
        print(json.dumps(results, indent=1))
    else:
        write_result("many", **results)


def compare(run: Path, place: Path, images: int, small: int, repeat: int) -> dict[str, Any]:
    """Measure all ways in turn, ``repeat`` times."""
    out = place / "out.json"
    large, many = draw(place / "large", images, 1024), draw(place / "small", small, 256)
    ways: dict[str, list[dict[str, Any]]] = {}
    for _ in range(repeat):
        for on in ("threads", "local"):
            for fast in (False, True):
                name = f"{on}, {'fast' if fast else 'no fast'} decode, 1024"
                ways.setdefault(name, []).append(measure(run, large, on, out, fast=fast))
        for name, on, kill in (
            ("threads, 256", "threads", False),
            ("local, 256", "local", False),
            ("ray, 256", "cluster", False),
            ("ray with a node killed, 256", "cluster", True),
        ):
            ways.setdefault(name, []).append(measure(run, many, on, out, kill=kill))
    rates = {name: summary(found)["images_per_s"] for name, found in ways.items()}
    expected = ways["local, 256"][0]["records"]
    return {
        "cores": available_cores(),
        "ways": {name: summary(found) for name, found in ways.items()},
        "processes_against_threads": {
            "1024": ratio(rates, "local, no fast decode, 1024", "threads, no fast decode, 1024"),
            "1024, fast decode": ratio(
                rates, "local, fast decode, 1024", "threads, no fast decode, 1024"
            ),
            "1024, both with fast decode": ratio(
                rates, "local, fast decode, 1024", "threads, fast decode, 1024"
            ),
            "256": ratio(rates, "local, 256", "threads, 256"),
        },
        "ray_against_processes": ratio(rates, "ray, 256", "local, 256"),
        "ray_before_the_node_is_killed_against_processes": round(
            statistics.median(
                (one["images"] // 2 - 1) / one["half_seconds"]
                for one in ways["ray with a node killed, 256"]
            )
            / rates["local, 256"],
            3,
        ),
        "records_equal_to_processes": {
            name: all(one["records"] == expected for one in found)
            for name, found in ways.items()
            if name.endswith("256")
        },
    }


def ratio(rates: dict[str, float], one: str, other: str) -> float:
    return round(rates[one] / rates[other], 3)


if __name__ == "__main__":
    main()
