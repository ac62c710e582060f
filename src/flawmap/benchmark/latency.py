"""Latency from an image's bytes to its verdict, by stage."""

from __future__ import annotations

import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from flawmap.benchmark.provenance import provenance
from flawmap.data.resize import PaddedImage
from flawmap.data.targets import check_target
from flawmap.errors import FlawmapError, UsageError
from flawmap.inspection.bundle.manifest import read_manifest
from flawmap.inspection.decision import ImageInfo, load_region
from flawmap.inspection.inspector import Inspector
from flawmap.inspection.sources import list_images
from flawmap.runtime.base import RuntimeOptions
from flawmap.utils.files import make_folder, write_json
from flawmap.utils.hardware import default_threads

PARTS = ("decode", "resize", "graph", "judge")
BATCHES = (1, 2, 4, 8, 16)
_FILES = 128  # images whose bytes are held in memory
_WARM_UP = 20
_COLD_STARTS = 5
_THROUGHPUT = 64  # images for each batch size

_COLD = """
import sys
run, image, backend, device, precision, threads = sys.argv[1:]
if backend == "torch":
    from flawmap.benchmark.latency import load_inspector as load
else:
    from flawmap.inspection.inspector import Inspector
    load = Inspector.load
inspector = load(run, backend=backend, device=device, precision=precision, threads=int(threads))
inspector.inspect(image)
"""


def latency(
    run: str | os.PathLike[str],
    images: Sequence[str | os.PathLike[str]],
    *,
    batch: int = 1,
    count: int = 500,
    json_file: str | os.PathLike[str] | None = None,
    command: str = "",
    say: Callable[[str], None] = lambda text: None,
    **runtime: Unpack[RuntimeOptions],
) -> dict[str, Any]:
    """Time ``count`` inspections of images' bytes, cycling through the images if there are fewer.

    The bytes are in memory before the clock starts; a batch is decoded image by image and run
    through the model at once, and milliseconds are per image. ``peak_mb`` is this process's peak
    memory, ``batches`` images per second by batch size, ``cold_start_s`` the median time from a
    process's start to its first verdict. ``runtime``: as for :func:`load_inspector`. Raises
    UsageError for a count or batch below 1, FlawmapError if there is no image or one cannot be
    read.
    """
    if batch < 1 or count < 1:
        raise UsageError("Give a batch size and a number of images of at least 1.")
    check_target(json_file, "p50_ms")
    paths = [target.path for target in list_images(images)][:_FILES]
    files = [path.read_bytes() for path in paths]
    inspector = load_inspector(run, **runtime)
    used = {
        "backend": inspector.backend.name,
        "device": runtime.get("device", "cpu"),
        "precision": runtime.get("precision", "float32"),
        "threads": runtime.get("threads") or default_threads(),
    }
    say(f"Warming up, then {count} images in batches of {batch}")
    _timed(inspector, files, batch, _WARM_UP)
    times = _timed(inspector, files, batch, count)
    peak = _peak_mb()
    whole = times.sum(1)
    result = {
        "method": inspector.manifest.method,
        "preset": inspector.manifest.preset,
        "teacher": inspector.manifest.teacher.name,
        "size": list(inspector.size),
        "fit": inspector.framing.fit,
        "photograph": list(inspector.framing.decode(files[0]).shape[:2]),
        **used,
        "batch": batch,
        "images": len(whole) * batch,
        "p50_ms": _percentile(whole, 50),
        "p90_ms": _percentile(whole, 90),
        "p99_ms": _percentile(whole, 99),
        "images_per_s": round(1000.0 / float(whole.mean()), 2),
        "peak_mb": peak,
        "parts": {
            name: _percentile(column, 50) for name, column in zip(PARTS, times.T, strict=True)
        },
        "batches": _throughputs(inspector, files, say),
        "cold_start_s": _cold_start([run, paths[0], *used.values()], say),
        **provenance(command),
    }
    if json_file is not None:
        make_folder(Path(json_file).parent)
        write_json(Path(json_file), result)
    return result


def load_inspector(run: str | os.PathLike[str], **runtime: Unpack[RuntimeOptions]) -> Inspector:
    """Load an inspector like :meth:`Inspector.load`; backend ``torch`` runs the trained network.

    With ``torch`` the device is ``cpu`` or ``cuda`` and the precision float32. Also raises
    FlawmapError if torch or the device is not available.
    """
    if runtime.get("backend") != "torch":
        return Inspector.load(run, **runtime)
    if find_spec("torch") is None:
        raise FlawmapError("torch is not installed: pip install 'flawmap[train]'")
    if runtime.get("precision", "float32") != "float32":
        raise UsageError("torch runs in float32 only: use openvino or onnxruntime for less.")
    from flawmap.exporting.rebuild import TorchBackend

    folder = Path(run)
    manifest = read_manifest(folder)
    device, threads = runtime.get("device", "cpu"), runtime.get("threads")
    network = TorchBackend(folder, manifest, device, threads)
    return Inspector(manifest, network, load_region(folder, manifest))


def _timed(inspector: Inspector, files: Sequence[bytes], batch: int, count: int) -> Any:
    """Milliseconds per image of each stage, one row per batch: (ceil(count / batch), 4)."""
    endless = itertools.cycle(files)
    rows = []
    for _ in range(-(-count // batch)):
        marks = np.zeros(len(PARTS))
        images = []
        for data in itertools.islice(endless, batch):
            padded, *seconds = _read(inspector, data)
            images.append(padded)
            marks[:2] += seconds
        begun = time.perf_counter()
        predictions = list(inspector.infer(images, batch))
        inferred = time.perf_counter()
        for prediction, padded in zip(predictions, images, strict=True):
            inspector.post_process(prediction, ImageInfo(padded.image_size))
        marks[2:] = inferred - begun, time.perf_counter() - inferred
        rows.append(marks * (1000.0 / batch))
    return np.stack(rows)


def _read(inspector: Inspector, data: bytes) -> tuple[PaddedImage, float, float]:
    """Padded image, seconds to decode it, and seconds to resize it."""
    marks = [time.perf_counter()]
    padded = inspector.framing.read(data, lambda: marks.append(time.perf_counter()))
    return padded, marks[1] - marks[0], time.perf_counter() - marks[1]


def _percentile(values: Any, share: float) -> float:
    return round(float(np.percentile(values, share)), 3)


def _throughputs(
    inspector: Inspector, files: Sequence[bytes], say: Callable[[str], None]
) -> dict[str, float]:
    """Images per second for every batch size."""
    by_batch = {}
    for batch in BATCHES:
        say(f"Batches of {batch}")
        _timed(inspector, files, batch, 2 * batch)
        by_batch[str(batch)] = round(
            1000.0 / float(_timed(inspector, files, batch, _THROUGHPUT).sum(1).mean()), 2
        )
    return by_batch


def _cold_start(words: Sequence[object], say: Callable[[str], None]) -> float:
    """Median run time in seconds of a process that loads the inspector and inspects one image."""
    say(f"{_COLD_STARTS} cold starts")
    seconds = []
    for _ in range(_COLD_STARTS):
        begun = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", _COLD, *map(str, words)],
            capture_output=True,
            text=True,
            check=False,
        )
        seconds.append(time.perf_counter() - begun)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["it gave no reason"])[-1]
            raise FlawmapError(f"A process that inspects one image failed: {reason}")
    return round(statistics.median(seconds), 3)


def _peak_mb() -> int | None:
    """Peak memory of this process so far in MB; None on Windows, which does not report it so."""
    peak = None
    if sys.platform != "win32":
        import resource

        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        peak = round(used / (2**20 if sys.platform == "darwin" else 2**10))
    return peak


def read_latencies(folder: Path) -> list[dict[str, Any]]:
    """Read the result files in a folder, sorted by name."""
    return [json.loads(p.read_text(encoding="utf-8")) for p in sorted(folder.glob("*.json"))]


def render_latencies(results: Sequence[dict[str, Any]]) -> str:
    """Render results as a Markdown table, followed by hardware and versions."""
    head = (
        "| inspector | image | backend | batch | p50 ms | p90 | p99 | "
        + " | ".join(PARTS)
        + " | images/s, best batch | peak MB | cold start s |"
    )
    lines = [head, "|" + "---|" * (head.count("|") - 1)]
    for one in results:
        best = max(one["batches"], key=lambda batch: one["batches"][batch])
        inspector = f"{one['method']} {one['preset']} {one['teacher']}"
        cells = [
            f"{inspector} {_by(one['size'])}",
            _by(one["photograph"]),
            f"{one['backend']} {one['precision']}",
            str(one["batch"]),
            *(f"{one[key]:.1f}" for key in ("p50_ms", "p90_ms", "p99_ms")),
            *(f"{one['parts'][part]:.1f}" for part in PARTS),
            f"{one['batches'][best]:.0f} ({best})",
            "-" if one["peak_mb"] is None else str(one["peak_mb"]),
            f"{one['cold_start_s']:.2f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    machines = {_machine(one) for one in results}
    return "\n".join([*lines, "", *sorted(machines), ""])


def _by(size: Sequence[int]) -> str:
    return "x".join(map(str, size))


def _machine(one: dict[str, Any]) -> str:
    hardware, versions = one["hardware"], one["versions"]
    runtimes = ", ".join(
        f"{name} {versions[name]}"
        for name in ("onnxruntime", "openvino", "torch")
        if name in versions
    )
    return f"{hardware['processor']}, {one['threads']} threads; {runtimes}."
