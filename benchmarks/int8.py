"""Effect of INT8: exported inspectors on test images that no export used.

``python benchmarks/int8.py RUN...`` writes ``benchmarks/results/int8.json``; the runs are
inspectors that ``flawmap bench --keep`` left, of categories of ``../shared/data/mvtec_ad_256``,
exported before: ``flawmap export RUN --to openvino --int8``, and ``--to onnx --int8``. Refused
exports are recorded as refused. Metrics and verdicts are those of ``evaluate``.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from record import ROOT, write_result

import flawmap
from flawmap.evaluation.metrics.catalogue import compared_metrics
from flawmap.evaluation.result import Evaluation

DATA = ROOT.parent / "shared" / "data" / "mvtec_ad_256"
RUNTIMES = {"onnx": "onnxruntime", "openvino": "openvino"}


def measure(run: Path) -> dict[str, Any]:
    """Return the metrics in float32 and of both INT8 exports, and the differing verdicts."""
    manifest = flawmap.Inspector.load(run).manifest
    exports = {to: manifest.exports.get(f"{to}-int8") for to in RUNTIMES}
    data = DATA / manifest.training.data
    first = flawmap.evaluate(run, data)
    result: dict[str, Any] = {
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
            result[f"int8 {backend}"] = "refused: past its limits"
            continue
        small = flawmap.evaluate(run, data, precision="int8", backend=backend)
        pairs = zip(first.rows, small.rows, strict=True)
        result[f"int8 {backend}"] = _metrics(small) | {
            "flips": sum(a.verdict != b.verdict for a, b in pairs),
            "export": made.model_dump(mode="json", exclude={"calibration", "files"}),
        }
    return result


def _metrics(evaluation: Evaluation) -> dict[str, float | None]:
    return {one.key: evaluation.metrics[one.key] for one in compared_metrics()}


def main() -> None:
    """Measure the given runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="a kept inspector")
    runs = parser.parse_args().runs
    results = []
    for run in runs:
        results.append(measure(run))
        print(results[-1])
    names = " ".join(f"runs/{run.name}" for run in runs)
    write_result("int8", f"python benchmarks/int8.py {names}", runs=results)


if __name__ == "__main__":
    main()
