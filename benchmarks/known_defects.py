"""What known defects teach: the suite with k labelled defects of each type, by refining.

    python benchmarks/known_defects.py SHARED_DATA WORK [--k 1 3 10] [--draws 3] [--seeds 1]
        [--only screw ...] [--leave-one-out] [--measured]

A run without defects is trained for each product and seed, once; each draw of defects refines it.
Both are measured on the test images that the draw left. With ``--leave-one-out`` the head learns
from all types but one and is measured on that one. Runs that are complete are not repeated.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from record import write_result

import flawmap
from flawmap.data.image_io.images import read_image, write_png
from flawmap.data.layouts import Dataset, Sample, open_dataset
from flawmap.evaluation.evaluate import measure
from flawmap.evaluation.ground_truth import sample_mask
from flawmap.evaluation.used_images import evaluation_images
from flawmap.inspection.bundle.manifest import MANIFEST
from flawmap.inspection.inspector import Inspector
from flawmap.training.refining.refine import refine
from flawmap.types import Size
from flawmap.utils.files import digest, write_json
from flawmap.utils.rng import keyed

SUITE: dict[str, tuple[str, Size | None]] = {
    "screw": ("mvtec_ad_256/screw", None),
    "toothbrush": ("mvtec_ad_256/toothbrush", None),
    "transistor": ("mvtec_ad_256/transistor", None),
    "kolektor_sdd": ("kolektor_sdd", (640, 256)),
    "aitex_fabric_02": ("surfaces/aitex_fabric_02", None),
    "crackforest": ("surfaces/crackforest", None),
}
METRICS = ("image_auroc", "pixel_auroc", "pixel_ap", "pro", "iap", "iap90")


def draw(dataset: Dataset, count: int, seed: int, without: str | None) -> list[Sample]:
    """Draw ``count`` labelled defects of each type but one; at least one of each is left."""
    chosen: list[Sample] = []
    for number, kind in enumerate(dataset.defect_types):
        own = [one for one in dataset.defective_test if one.defect_type == kind and one.mask]
        order = keyed(seed, 2**33 + number).permutation(len(own))
        if kind != without:
            chosen += [own[i] for i in order[: min(count, len(own) - 1)]]
    return chosen


def write_defects(samples: Sequence[Sample], folder: Path) -> None:
    """Write images and masks as users would: TYPE/NAME and masks/TYPE/NAME.png."""
    shutil.rmtree(folder, ignore_errors=True)
    for number, sample in enumerate(samples):
        kind = sample.defect_type or "defect"
        name = f"{number:03}_{sample.path.stem}"
        (folder / kind).mkdir(parents=True, exist_ok=True)
        (folder / "masks" / kind).mkdir(parents=True, exist_ok=True)
        shutil.copy(sample.path, folder / kind / f"{name}{sample.path.suffix}")
        shape = read_image(sample.path).shape[:2]
        mask = sample_mask(sample, (shape[0], shape[1]), (shape[0], shape[1]))
        assert mask is not None
        write_png(folder / "masks" / kind / f"{name}.png", mask * np.uint8(255))


def values(run: Path, dataset: Dataset, left: Sequence[Sample]) -> dict[str, float]:
    """Measure a run on all test images of ``left`` that it was not trained on."""
    inspector = Inspector.load(run)
    images = replace(evaluation_images(dataset, inspector.manifest), samples=tuple(left))
    metrics = measure(inspector, dataset, images).metrics
    return {name: round(float(metrics[name]), 4) for name in METRICS}


def cases(
    dataset: Dataset, counts: Sequence[int], draws: int, leave_one_out: bool
) -> Iterator[tuple[str, int, int, str | None]]:
    """Yield a name, the number a type, the draw and the type that is left out."""
    if not leave_one_out:
        yield from ((f"k{k}_d{one}", k, one, None) for k in counts for one in range(draws))
        return
    if len(dataset.defect_types) > 1:
        for kind in dataset.defect_types:
            yield from ((f"without_{kind}_d{one}", counts[0], one, kind) for one in range(draws))


def product_rows(
    name: str, options: argparse.Namespace, seed: int, say: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Train, refine and measure one product with one seed; a row for each draw."""
    place, size = SUITE[name]
    data, work = options.data / place, options.work / f"{name}_{seed}"
    dataset = open_dataset(data)
    parent = work / "parent"
    if not options.measured and not (parent / MANIFEST).is_file():
        flawmap.train(data, parent, seed=seed, size=size, resume=parent.exists())
    rows = []
    for case, count, number, kind in cases(
        dataset, options.k, options.draws, options.leave_one_out
    ):
        if options.measured and not (work / case / f"row{options.tag}.json").is_file():
            continue
        chosen = draw(dataset, count, number, kind)
        defects, run = work / case / "defects", work / case / f"run{options.tag}"
        if not options.measured and not (run / MANIFEST).is_file():
            write_defects(chosen, defects)
            shutil.rmtree(run, ignore_errors=True)
            start = time.perf_counter()
            refine(parent, run, defects=defects, seed=seed)
            seconds = time.perf_counter() - start
            learned = {digest(one.path) for one in chosen}
            left = [
                one
                for one in evaluation_images(dataset, Inspector.load(run).manifest).samples
                if (kind is None or one.label == "good" or one.defect_type == kind)
                and digest(one.path) not in learned
            ]
            row = {
                "product": name, "seed": seed, "k": count, "draw": number, "without": kind,
                "defects": len(chosen), "tested": len(left), "seconds": round(seconds, 1),
                "threads": torch.get_num_threads(),
                "before": values(parent, dataset, left), "after": values(run, dataset, left),
            }  # fmt: skip
            write_json(work / case / f"row{options.tag}.json", row)
        rows.append(_read(work / case / f"row{options.tag}.json"))
        say(_line(rows[-1]))
    return rows


def _read(path: Path) -> dict[str, Any]:
    import json

    row: dict[str, Any] = json.loads(path.read_text())
    return row


def _line(row: dict[str, Any]) -> str:
    gains = (f"{name} {row['after'][name] - row['before'][name]:+.3f}" for name in METRICS)
    which = f"without {row['without']}" if row["without"] else f"k={row['k']}"
    head = f"{row['product']} seed {row['seed']} {which} draw {row['draw']}"
    return f"{head} ({row['seconds']} s): {', '.join(gains)}; AP {row['after']['pixel_ap']:.3f}"


def means(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the suite's mean of every metric, for each k; products count alike."""
    table: dict[str, Any] = {}
    for k in sorted({row["k"] for row in rows}):
        for when in ("before", "after"):
            own = {}
            for metric in METRICS:
                by_product = [
                    statistics.mean(
                        r[when][metric] for r in rows if r["k"] == k and r["product"] == p
                    )
                    for p in dict.fromkeys(r["product"] for r in rows if r["k"] == k)
                ]
                own[metric] = round(statistics.mean(by_product), 4)
            table[f"k={k} {when}"] = own
    return table


def main() -> None:
    """Run all cases and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--k", type=int, nargs="+", default=[3])
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--only", nargs="+", default=list(SUITE))
    parser.add_argument("--leave-one-out", action="store_true")
    parser.add_argument("--measured", action="store_true", help="only sum up what was measured")
    parser.add_argument("--tag", default="", help="name of a variant, for trials")
    parser.add_argument("--result", default="", help="name of the result file")
    options = parser.parse_args()
    rows = []
    for seed in options.seeds:
        for name in options.only:
            rows += product_rows(name, options, seed, lambda line: print(line, flush=True))
    summary = means(rows)
    for name, one in summary.items():
        print(name, one)
    if options.result:
        write_result(options.result, means=summary, rows=rows)
    sys.exit(0)


if __name__ == "__main__":
    main()
