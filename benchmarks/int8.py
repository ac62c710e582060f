"""What INT8 changes: exported inspectors on test images that no export saw.

``python benchmarks/int8.py RUN...`` writes ``benchmarks/results/int8.json``; the runs are
inspectors that ``flawmap bench --keep`` left, of categories of ``../shared/data/mvtec_ad_256``,
exported before: ``flawmap export RUN --to openvino --int8``, and ``--to onnx --int8``. What an
export refused is told as refused. Metrics and verdicts are those of ``evaluate``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from record import ROOT, write_result

import flawmap
from flawmap.evaluation.metrics.catalogue import compared_metrics
from flawmap.evaluation.result import Evaluation

DATA = ROOT.parent / "shared" / "data" / "mvtec_ad_256"
RUNTIMES = {"onnx": "onnxruntime", "openvino": "openvino"}


def measure(run: Path) -> dict[str, Any]:
    """Metrics in float32 and of both INT8 exports, and how verdicts differ."""
    manifest = flawmap.Inspector.load(run).manifest
    exports = {to: manifest.exports.get(f"{to}-int8") for to in RUNTIMES}
    data = DATA / manifest.training.data
    first = flawmap.evaluate(run, data)
    found: dict[str, Any] = {
        "method": manifest.method,
        "teacher": manifest.teacher.name,
        "category": manifest.training.data,
        "seed": manifest.training.seed,
        "images": len(first.rows),
        "float32": _metrics(first),
    }
    for to, backend in RUNTIMES.items():
        made = exports[to]
        if made is None:
            found[f"int8 {backend}"] = "refused: past its limits"
            continue
        small = flawmap.evaluate(run, data, precision="int8", backend=backend)
        pairs = zip(first.rows, small.rows, strict=True)
        found[f"int8 {backend}"] = _metrics(small) | {
            "flips": sum(a.verdict != b.verdict for a, b in pairs),
            "export": made.model_dump(mode="json", exclude={"calibration", "files"}),
        }
    return found


def _metrics(evaluation: Evaluation) -> dict[str, float | None]:
    return {one.key: evaluation.metrics[one.key] for one in compared_metrics()}


def main() -> None:
    """Measure the runs named."""
    runs = [Path(word) for word in sys.argv[1:]]
    if not runs:
        sys.exit(__doc__)
    found = []
    for run in runs:
        found.append(measure(run))
        print(found[-1])
    names = " ".join(f"runs/{run.name}" for run in runs)
    write_result("int8", f"python benchmarks/int8.py {names}", runs=found)


if __name__ == "__main__":
    main()
