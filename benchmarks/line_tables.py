"""Markdown tables of the results of ``line.py``, ``int8.py`` and ``peers/run.py``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from record import RESULTS

from flawmap.benchmark.latency import read_latencies, render_latencies

Result = dict[str, Any]


def render(load: Callable[[str], Result | None]) -> str:
    """Render all tables of docs/line.md; ``load`` returns a result file by its name."""
    parts = ["## Bytes to verdict\n", render_latencies(read_latencies(RESULTS / "latency"))]
    if result := load("throughput"):
        parts += ["## A folder of 1,000 images\n", _throughput(result)]
    if result := load("parity"):
        parts += ["## Every backend compared with torch in float32\n", _parity(result)]
    if result := load("int8"):
        parts += ["## INT8 on test images\n", _int8(result)]
    if peers := sorted((RESULTS / "peers").glob("*.json")):
        parts += [
            "## Compared with anomalib\n",
            *(_peers(path) for path in peers),
            _installed(peers[-1]),
        ]
    return "\n".join(parts)


def _table(head: str, rows: list[list[str]]) -> str:
    lines = [f"| {head} |", "|" + "---|" * (head.count("|") + 1)]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows), ""])


def _throughput(result: Result) -> str:
    rows = []
    for run in result["runs"]:
        named = run["verdicts"] | {
            "INT8, best batch, a quarter of the folder": run["a_quarter_of_them"],
            "INT8, best batch, with overlays, masks and maps": run["with_pictures"],
        }
        for what, one in named.items():
            rows.append([run["run"], what, f"{one['images_per_s']:.0f}", str(one["peak_mb"])])
    judged = "".join(
        f"\n{run['run']}: `predict --out` {again['inspecting_s']:.1f} s, `judge` on these maps "
        f"{again['judging_s']:.2f} s, {again['times_faster']:.0f} times faster.\n"
        for run in result["runs"]
        for again in [run["judged_again"]]
    )
    head = "inspector | `flawmap predict` | images/s, start included | peak MB"
    return _table(head, rows) + judged


def _parity(result: Result) -> str:
    rows = [
        [
            f"{run['category']} {run['method']} {run['teacher']}",
            str(run["images"]),
            name,
            *(f"{gap[key]:.1e}" for key in ("map_max", "map_mean", "score_max", "score_mean")),
        ]
        for run in result["runs"]
        for name, gap in run["backends"].items()
    ]
    head = "inspector | test images | backend | map, largest difference | mean | score | mean"
    return _table(head, rows)


def _int8(result: Result) -> str:
    rows = []
    for run in result["runs"]:
        name = f"{run['category']} {run['teacher']}"
        whole = run["float32"]
        for backend in ("openvino", "onnxruntime"):
            small = run[f"int8 {backend}"]
            if isinstance(small, str):
                rows.append([name, backend, small, "", "", ""])
                continue
            rows.append(
                [
                    name,
                    backend,
                    small["export"]["quantised"],
                    *(
                        f"{whole[key]:.4f} → {small[key]:.4f}"
                        for key in ("pixel_ap", "image_auroc")
                    ),
                    f"{small['flips']} of {run['images']}",
                ]
            )
    head = "inspector | backend | quantised | pixel AP | image AUROC | verdicts that differ"
    return _table(head, rows)


def _peers(path: Path) -> str:
    result = json.loads(path.read_text(encoding="utf-8"))
    rows = []
    for name, side in result["sides"].items():
        metrics = side.get("figures") or {}
        fit = "-" if not metrics else f"{side['fit_seconds'] / 60:.1f}"
        if patches := side.get("patches"):
            name += f": {patches:,} patches"
        epochs, default = side.get("epochs", (0, 0))
        if metrics and epochs < default:
            name += f": {epochs} of its {default} epochs"
        rows.append(
            [
                name,
                fit,
                *(_percent(metrics.get(key)) for key in ("image_auroc", "pixel_ap")),
                *(_percent(metrics.get(key)) for key in ("pixel_auroc", "pro", "iap")),
                f"{side['p50_ms']:.1f}",
                str(side["peak_mb"]),
            ]
        )
    head = f"{result['category']} | fit, min | image AUROC | pixel AP | pixel AUROC | PRO | IAP | "
    return _table(head + "ms an image | peak MB", rows)


def _installed(path: Path) -> str:
    install = json.loads(path.read_text(encoding="utf-8"))["install"]
    return (
        f"anomalib {install['anomalib']}: {install['packages']} packages, {install['mb']} MB "
        f"installed ({install['mb_without_cuda']} MB without CUDA's).\n"
    )


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"
