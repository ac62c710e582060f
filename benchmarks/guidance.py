"""Effect of enlarging maps along the image's edges: kept DeSTSeg trainings read out both ways.

``python benchmarks/guidance.py RUN...`` writes ``benchmarks/results/guidance.json``; the runs are
inspectors that ``flawmap bench --keep`` left, of categories of ``../shared/data/mvtec_ad_256``.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from record import ROOT, write_result

from flawmap.data.image_io.images import read_image, resize_image
from flawmap.data.layouts import open_dataset
from flawmap.evaluation.ground_truth import sample_mask
from flawmap.evaluation.metrics import Evaluator
from flawmap.evaluation.metrics.catalogue import compared_metrics
from flawmap.exporting.rebuild import rebuild
from flawmap.inspection.bundle.manifest import read_manifest
from flawmap.methods.registry import find_preset

DATA = ROOT.parent / "shared" / "data" / "mvtec_ad_256"
READ_OUTS: dict[str, dict[str, float]] = {
    "blurred by half a cell": {"smoothing": 0.5, "guidance": 0.0},
    "guided": {"smoothing": 0.0, "guidance": find_preset("destseg", "fast").guidance},
}


def measure(run: Path) -> dict[str, Any]:
    """Return the metrics of one run for each read-out."""
    manifest = read_manifest(run)
    samples = open_dataset(DATA / manifest.training.data, training=False).test
    graphs = {name: rebuild(run, manifest, **changes) for name, changes in READ_OUTS.items()}
    evaluators = {name: Evaluator() for name in READ_OUTS}
    size = manifest.preprocessing.size
    for sample in samples:
        image = read_image(sample.path)
        pixels = torch.tensor(resize_image(image, size)[None])
        mask = sample_mask(sample, size, (image.shape[0], image.shape[1]))
        for name, graph in graphs.items():
            with torch.inference_mode():
                maps, scores, *_ = graph(pixels)
            evaluators[name].update(
                maps[0].numpy(), mask, float(scores[0]), sample.label == "defective"
            )
    metrics = {name: evaluator.compute() for name, evaluator in evaluators.items()}
    return {
        "category": manifest.training.data,
        "teacher": manifest.teacher.name,
        "seed": manifest.training.seed,
        "figures": {
            name: {m.key: f[m.key] for m in compared_metrics()} for name, f in metrics.items()
        },
    }


def main() -> None:
    """Measure the given runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="a kept inspector")
    runs = parser.parse_args().runs
    command = f"python benchmarks/guidance.py {' '.join(run.name for run in runs)}"
    write_result("guidance", command, read_outs=READ_OUTS, runs=[measure(run) for run in runs])


if __name__ == "__main__":
    main()
