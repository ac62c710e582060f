"""Measure kept trainings again with a changed read-out.

``flawmap bench benchmarks/suite.yaml --out after --keep`` leaves results and inspectors;
``python benchmarks/read_out.py after --out before --set levelling=0`` measures the same networks
with fields of their configuration changed, for ``flawmap bench compare before after``;
``--set memory=null`` is the same network without its memory. Only images that are squashed to the
working size are measured.
"""

from __future__ import annotations

import argparse
import json
import shlex
from pathlib import Path
from typing import Any

import torch
from record import ROOT

from flawmap.benchmark.provenance import provenance
from flawmap.data.image_io.images import read_image, resize_image
from flawmap.data.layouts import open_dataset
from flawmap.evaluation.ground_truth import sample_mask
from flawmap.evaluation.metrics import Evaluator
from flawmap.exporting.onnx_graph import InferenceGraph
from flawmap.exporting.rebuild import rebuild
from flawmap.inspection.bundle.manifest import Manifest, read_manifest
from flawmap.utils.files import make_folder, write_json

READ_OUT = ("levelling", "distance_power", "score_power", "smoothing", "guidance", "memory")
"""Fields that do not affect DeSTSeg's training."""
SILENT = {"share": 0.0, "area": 1e9, "score_power": 0.0, "score_share": 0.0}
"""A memory that changes neither map nor score."""


def main() -> None:
    """Measure every result of the folder again."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, help="folder of a bench that kept its runs")
    parser.add_argument("--runs", type=Path, help="folder of the runs; default RESULTS/runs")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    changes = {key: json.loads(value) for key, value in (one.split("=", 1) for one in options.set)}
    if unknown := changes.keys() - set(READ_OUT):
        parser.error(f"{', '.join(unknown)}: only {', '.join(READ_OUT)} can be changed")
    runs = options.runs or options.results / "runs"
    make_folder(options.out)
    for file in sorted(options.results.glob("*.json")):
        if not (options.out / file.name).exists():
            result = read_anew(json.loads(file.read_text("utf-8")), runs / file.stem, changes)
            write_json(options.out / file.name, result)
            print(file.stem, {k: round(result["figures"][k], 3) for k in ("pixel_ap", "iap")})


def read_anew(result: dict[str, Any], run: Path, changes: dict[str, Any]) -> dict[str, Any]:
    """Return the object of a result file with new metrics and provenance."""
    manifest = read_manifest(run)
    configuration = manifest.configuration | changes
    memory = manifest.configuration.get("memory")
    if memory and "memory" in changes:  # its content stays, as it is in the weights
        configuration["memory"] = memory | (changes["memory"] or SILENT)
    network = rebuild(run, manifest, **configuration)
    data = ROOT / shlex.split(result["command"])[2]
    asked = " ".join(f"--set {shlex.quote(f'{k}={json.dumps(v)}')}" for k, v in changes.items())
    return result | {
        **provenance(f"python benchmarks/read_out.py AFTER --out BEFORE {asked}"),
        "trained_by": {key: result[key] for key in ("command", "commit", "date")},
        "figures": measure(network, manifest, data),
        "changes": result["changes"] | changes,
        "configuration": manifest.configuration | changes,
        "milliseconds": None,
    }


def measure(network: InferenceGraph, manifest: Manifest, data: Path) -> dict[str, Any]:
    """Return the metrics of a network on the test images of a data set."""
    size, evaluator = manifest.preprocessing.size, Evaluator()
    for sample in open_dataset(data, training=False).test:
        image = read_image(sample.path)
        with torch.inference_mode():
            maps, scores, *_ = network(torch.tensor(resize_image(image, size)[None]))
        mask = sample_mask(sample, size, (image.shape[0], image.shape[1]))
        evaluator.update(maps[0].numpy(), mask, float(scores[0]), sample.label == "defective")
    return evaluator.compute().to_dict()


if __name__ == "__main__":
    main()
