"""Latency, throughput and parity of every backend, written to ``benchmarks/results``.

``python benchmarks/line.py RUN...`` takes inspectors that ``flawmap bench --keep`` left, of
categories of ``../shared/data/mvtec_ad_256``, exported before: ``flawmap export RUN --to openvino
--int8``, and ``--to onnx --int8``. Each backend and precision is timed by ``flawmap bench latency``
in a process of its own (``latency/*.json``). Then all run over every test image beside torch
(``parity.json``), and a folder of 1,000 images goes through ``flawmap predict``
(``throughput.json``). Run it on an otherwise idle machine; it takes some minutes per run.
``--only`` measures one of the three.
"""

from __future__ import annotations

import argparse
import itertools
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from record import RESULTS, ROOT, write_result

import flawmap
from flawmap.benchmark.latency import load_inspector
from flawmap.data.image_io.images import read_image, resize_image
from flawmap.data.layouts import open_dataset
from flawmap.errors import FlawmapError

DATA = Path("..") / "shared" / "data"
NATIVE = DATA / "mvtec_ad_native"  # some of the categories at 1024x1024
RUNTIMES = (
    ("onnxruntime", "float32"),
    ("openvino", "float32"),
    ("openvino", "bf16"),
    ("openvino", "int8"),
    ("onnxruntime", "int8"),
    ("torch", "float32"),
)
FOLDER = 1000
BATCHES = (1, 4, 8, 16)


def latencies(run: Path) -> None:
    """Time each backend on the category's images; INT8 also on those of 1024x1024."""
    manifest = flawmap.Inspector.load(run).manifest
    category = manifest.training.data
    folders = {"256": DATA / "mvtec_ad_256" / category / "test"}
    if (ROOT / NATIVE / category).is_dir():
        folders["1024"] = NATIVE / category
    for (size, images), (backend, precision) in itertools.product(folders.items(), RUNTIMES):
        if size == "1024" and precision != "int8":
            continue
        name = f"{category}-{manifest.method}-{manifest.teacher.name}-{size}-{backend}-{precision}"
        json_file = RESULTS.relative_to(ROOT) / "latency" / f"{name}.json"
        words = ["bench", "latency", run, images, "--backend", backend, "--precision", precision]
        done = subprocess.run([*_flawmap(), *words, "--json", json_file], check=False)
        if done.returncode:
            print(f"{name}: not measured, see above", flush=True)


def _flawmap() -> list[str]:
    return [str(Path(sys.executable).with_name("flawmap"))]


def parity(run: Path) -> dict[str, Any]:
    """Return largest and mean |difference| from torch in float32 on all test images."""
    first = load_inspector(run, backend="torch")
    data = DATA / "mvtec_ad_256" / first.manifest.training.data
    backends = {}
    for backend, precision in RUNTIMES[:-1]:
        try:
            other = flawmap.Inspector.load(run, backend=backend, precision=precision).backend
        except FlawmapError as error:
            print(f"{backend} {precision}: {error}")
            continue
        backends[f"{backend} {precision}"] = other
    gaps: dict[str, list[tuple[float, float, float]]] = {name: [] for name in backends}
    samples = open_dataset(data, training=False).test
    for sample in samples:
        image = resize_image(read_image(sample.path), first.size)[None]
        maps, scores = first.backend(image)
        for name, other in backends.items():
            other_maps, score = other(image)
            apart = np.abs(other_maps - maps)
            gaps[name].append((apart.max(), apart.mean(), abs(float(score[0] - scores[0]))))
    return {
        "category": first.manifest.training.data,
        "method": first.manifest.method,
        "teacher": first.manifest.teacher.name,
        "images": len(samples),
        "backends": {name: _summary(np.array(values)) for name, values in gaps.items()},
    }


def _summary(gaps: Any) -> dict[str, float]:
    largest, mean = gaps.max(0), gaps.mean(0)
    return {
        "map_max": float(largest[0]),
        "map_mean": float(mean[1]),
        "score_max": float(largest[2]),
        "score_mean": float(mean[2]),
    }


def throughput(run: Path) -> dict[str, Any]:
    """Return images per second and peak memory of ``flawmap predict`` on 1,000 images."""
    manifest = flawmap.Inspector.load(run).manifest
    data = DATA / "mvtec_ad_256" / manifest.training.data
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "images"
        folder.mkdir()
        paths = itertools.cycle(sample.path for sample in open_dataset(data, training=False).test)
        for number, path in enumerate(itertools.islice(paths, FOLDER)):
            shutil.copy(path, folder / f"{number:04}.png")
        few = folder.with_name("few")
        few.mkdir()
        for path in sorted(folder.iterdir())[: FOLDER // 4]:
            shutil.copy(path, few / path.name)
        verdicts = {}
        for precision, batch in itertools.product(("float32", "int8"), BATCHES):
            words = ["--precision", precision, "--batch", batch]
            verdicts[f"{precision}, batch {batch}"] = _folder(run, folder, words, Path(scratch))
        best = max(BATCHES, key=lambda b: verdicts[f"int8, batch {b}"]["images_per_s"])
        words = ["--precision", "int8", "--batch", best]
        return {
            "run": f"{manifest.training.data} {manifest.method} {manifest.teacher.name}",
            "images": FOLDER,
            "verdicts": verdicts,
            "a_quarter_of_them": _folder(run, few, words, Path(scratch)),
            "with_pictures": _folder(run, folder, [*words, "--out", "OUT"], Path(scratch)),
            "judged_again": _judged_again(run, folder, Path(scratch)),
        }


def _judged_again(run: Path, folder: Path, scratch: Path) -> dict[str, float]:
    """Time ``predict --out`` with its defaults, and ``judge`` on its maps."""
    out = scratch / "out"
    words = [str(run), str(folder), "--out", str(out), "--json", str(scratch / "lines")]
    inspected = _seconds([*_flawmap(), "predict", *words])
    again = ["judge", str(run), str(scratch / "lines"), "--json", str(scratch / "again")]
    judged = statistics.median(_seconds([*_flawmap(), *again]) for _ in range(5))
    shutil.rmtree(out)
    return {
        "inspecting_s": round(inspected, 2),
        "judging_s": round(judged, 2),
        "times_faster": round(inspected / judged, 1),
    }


def _seconds(command: list[str]) -> float:
    begun = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begun


def _folder(run: Path, folder: Path, words: list[Any], scratch: Path) -> dict[str, float]:
    """Time one process, including its start and loading."""
    out = scratch / "out"
    given = [str(out) if word == "OUT" else str(word) for word in words]
    command = [*_flawmap(), "predict", str(run), str(folder), "--json", str(scratch / "lines")]
    begun = time.perf_counter()
    process = subprocess.Popen([*command, *given], stdout=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        peak = max(peak, _peak_mb(process.pid))
        time.sleep(0.02)
    seconds = time.perf_counter() - begun
    count = len((scratch / "lines").read_text().splitlines())
    shutil.rmtree(out, ignore_errors=True)
    assert process.returncode == 0
    return {"images_per_s": round(count / seconds, 1), "peak_mb": peak}


def _peak_mb(pid: int) -> int:
    """Return the peak memory of a running process, without what this one held when it forked."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    lines = (line.split() for line in status.splitlines() if line.startswith("VmHWM"))
    return max((int(words[1]) // 1024 for words in lines), default=0)


def main() -> None:
    """Measure the given runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, nargs="+")
    parser.add_argument("--only", choices=("latency", "parity", "throughput"))
    asked = parser.parse_args()
    os.chdir(ROOT)
    command = shlex.join(["python", "benchmarks/line.py", *sys.argv[1:]])
    if asked.only in (None, "latency"):
        for run in asked.run:
            latencies(run)
    if asked.only in (None, "parity"):
        write_result("parity", command, runs=[parity(run) for run in asked.run])
    if asked.only in (None, "throughput"):
        write_result("throughput", command, runs=[throughput(run) for run in asked.run])


if __name__ == "__main__":
    main()
