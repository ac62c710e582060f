"""Peak memory and seconds per image of ``predict --out`` on large images.

``python benchmarks/predict_memory.py RUN`` draws images of 20 megapixels (24, or ``--count``),
smooth ones and noisy ones, runs ``flawmap predict --out`` on each kind, and writes
``benchmarks/results/predict_memory.json``.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from record import write_result

from flawmap.demonstration.drawing import draw_dataset

_SIZE = (5472, 3648)


def draw_images(folder: Path, noise: float, count: int) -> None:
    """Write an enlarged drawn part with ``noise`` (deviation in grey levels), and links to it."""
    folder.mkdir()
    drawn = folder.with_name("drawn")
    draw_dataset(drawn, 1, size=256, train_good=1, test_good=1, defective_per_type=1)
    part = next((drawn / "test").rglob("*.png"))
    with Image.open(part) as image:
        pixels = np.asarray(
            image.convert("RGB").resize(_SIZE, Image.Resampling.BICUBIC), np.float32
        )
    noisy = pixels + np.random.default_rng(0).normal(0, noise, pixels.shape).astype(np.float32)
    first = folder.with_name(f"{folder.name}.jpg")
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(first, quality=90)
    for index in range(count):
        os.link(first, folder / f"{index}.jpg")


def measure(run: Path, noise: float, count: int) -> dict[str, Any]:
    """Measure one run of ``predict``, including its start."""
    with tempfile.TemporaryDirectory() as scratch:
        draw_images(Path(scratch) / "given", noise, count)
        paths = sorted((Path(scratch) / "given").glob("*.jpg"))
        words = ["predict", run, *paths, "--out", Path(scratch) / "out"]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        begun = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "flawmap", *words], stdout=subprocess.DEVNULL
        )
        peak = 0
        while process.poll() is None:
            peak = max(peak, _peak_mb(process.pid))
            time.sleep(0.02)
        seconds = time.perf_counter() - begun
        assert process.returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "noise": noise,
        "images": count,
        "megapixels": round(_SIZE[0] * _SIZE[1] / 1e6, 1),
        "peak_mb": peak,
        "seconds_an_image": round(seconds / count, 2),
        "cpu_seconds_an_image": round(cpu / count, 2),
    }


def _peak_mb(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    lines = (line.split() for line in status.splitlines() if line.startswith("VmHWM"))
    return max((int(words[1]) // 1024 for words in lines), default=0)


def main() -> None:
    """Measure images without and with noise."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--count", type=int, default=24)
    asked = parser.parse_args()
    results = [measure(asked.run, noise, asked.count) for noise in (0.0, 10.0)]
    write_result(
        "predict_memory",
        f"python benchmarks/predict_memory.py RUN --count {asked.count}",
        runs=results,
    )


if __name__ == "__main__":
    main()
