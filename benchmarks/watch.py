"""Idle cost and reaction time of ``--watch`` on a folder of many finished images.

``python benchmarks/watch.py RUN`` fills a temporary folder with files (100,000, or ``--files``)
and their records, starts ``flawmap predict --watch`` on it, and
writes ``benchmarks/results/watch.json``.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from record import write_result

from flawmap.data.image_io.images import write_png
from flawmap.inspection.record import InspectionRecord

_LINKS = 20_000  # names of one file, of which systems allow some ten thousand
_IDLE_S = 20.0
_NEW = 10
_WAIT_S = 300.0


def fill(folder: Path, lines: Path, files: int, folders: int) -> None:
    """Write links to one image, and a record for each."""
    rng = np.random.default_rng(0)
    with lines.open("w") as ledger:
        for index in range(files):
            if index % _LINKS == 0:
                first = folder.with_name(f"image{index}.png")
                write_png(first, rng.integers(0, 256, (96, 128, 3), np.uint8))
                status = first.stat()
            place = folder / f"f{index % folders}" if folders > 1 else folder
            place.mkdir(exist_ok=True)
            path = place / f"part{index:06}.png"
            os.link(first, path)
            record = InspectionRecord(
                path=str(path), score=0.01, p_value=0.5, verdict="good", defects=(),
                milliseconds=9.0, run="", model="", settings="", precision="float32",
                backend="onnxruntime", device="cpu", image="0" * 64, bytes=status.st_size,
                modified_ns=status.st_mtime_ns,
            )  # fmt: skip
            ledger.write(record.to_json() + "\n")


def measure(run: Path, files: int, folders: int) -> dict[str, Any]:
    """Measure a watcher on ``files`` in ``folders``."""
    with tempfile.TemporaryDirectory() as scratch:
        folder, lines = Path(scratch) / "dropped", Path(scratch) / "lines.jsonl"
        folder.mkdir()
        fill(folder, lines, files, folders)
        words = ["predict", run, "--watch", folder, "--json", lines]
        begun = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "flawmap", *words], stdout=subprocess.DEVNULL
        )
        try:
            place = next(folder.glob("f*")) if folders > 1 else folder
            _drop(place / "first.png", 1)
            _wait(lines, files + 1)
            start = time.perf_counter() - begun
            time.sleep(5.0)
            before = _cpu(process.pid)
            time.sleep(_IDLE_S)
            idle = (_cpu(process.pid) - before) / _IDLE_S
            late = []
            for index in range(_NEW):
                time.sleep(3.0)
                dropped = time.perf_counter()
                _drop(place / f"new{index}.png", index)
                _wait(lines, files + 2 + index)
                late.append(time.perf_counter() - dropped)
            memory = _peak_mb(process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
    return {
        "files": files,
        "folders": folders,
        "idle_share_of_a_core": round(idle, 4),
        "new_file_s": {"median": round(statistics.median(late), 2), "most": round(max(late), 2)},
        "first_verdict_s": round(start, 2),
        "peak_mb": memory,
    }


def _drop(path: Path, seed: int) -> None:
    """Write a new image under another name first, as most camera programs do."""
    partial = path.with_name(f".{path.name}")
    write_png(partial, np.random.default_rng(seed).integers(0, 256, (96, 128, 3), np.uint8))
    shutil.move(partial, path)


def _wait(lines: Path, count: int) -> None:
    end = time.monotonic() + _WAIT_S
    size = -1
    while time.monotonic() < end:
        if lines.stat().st_size != size:
            size = lines.stat().st_size
            with lines.open("rb") as file:
                if (
                    sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(2**24), b""))
                    >= count
                ):
                    return
        time.sleep(0.01)
    raise SystemExit("No record was written.")


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak_mb(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in status if line.startswith("VmHWM"))


def main() -> None:
    """Measure one folder of all files, and as many files in a thousand folders."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--files", type=int, default=100_000)
    asked = parser.parse_args()
    results = [measure(asked.run, asked.files, folders) for folders in (1, 1000)]
    write_result("watch", f"python benchmarks/watch.py RUN --files {asked.files}", watched=results)


if __name__ == "__main__":
    main()
