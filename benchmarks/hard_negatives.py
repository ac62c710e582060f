"""Rejected good parts as hard negatives: a lamp ages, good parts are rejected, the run is refined.

    python benchmarks/hard_negatives.py SHARED_DATA WORK [--seeds 0] [--only screw ...]

Runs of ``known_defects.py`` in WORK are the parents. Half of each product's good test images are
relit (darker, with a gradient and a tint, drawn for each image); those of them that the parent
rejects are given to ``refine --good``. Measured on the other half, relit five times each, and on
the defective test images, relit and as they are: false rejects and recall by the reject threshold.
Products that are done (``row.json``) are not repeated.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any, cast

import numpy as np
from known_defects import SUITE
from numpy.typing import NDArray
from record import write_result

from flawmap.data.image_io.images import read_image, write_png
from flawmap.data.layouts import Sample, open_dataset
from flawmap.inspection.conformal import share_interval
from flawmap.inspection.decision import Inspection
from flawmap.inspection.inspector import Inspector
from flawmap.inspection.pipeline import inspect_files
from flawmap.training.refining.refine import refine
from flawmap.utils.files import digest, write_json
from flawmap.utils.rng import keyed

COPIES = 5  # relit versions of each image to measure on


def relit(image: NDArray[np.uint8], rng: np.random.Generator, strength: float) -> NDArray[np.uint8]:
    """Return an image (H, W, 3) under an older lamp: darker, uneven and warmer."""
    height, width = image.shape[:2]
    y, x = np.mgrid[-0.5 : 0.5 : height * 1j, -0.5 : 0.5 : width * 1j]
    angle = rng.uniform(0, 2 * np.pi)
    slope = strength * rng.uniform(0.5, 1.0)
    field = 1 - strength * rng.uniform(0.5, 1.0) + slope * (np.cos(angle) * x + np.sin(angle) * y)
    tint = 1 + strength * np.array([0.15, 0.0, -0.25]) * rng.uniform(0.5, 1.0)
    return (image * field[..., None] * tint).clip(0, 255).astype(np.uint8)


def write_relit(
    samples: list[Sample], folder: Path, seed: int, copies: int, strength: float
) -> list[Path]:
    """Write relit copies of all samples; return their paths."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    paths = []
    for number, sample in enumerate(samples):
        image = read_image(sample.path)
        for copy in range(copies):
            rng = keyed(seed, 2**34 + 100 * number + copy)
            paths.append(folder / f"{number:04}_{copy}.png")
            write_png(paths[-1], relit(image, rng, strength))
    return paths


def rejected(run: Path, paths: list[Path]) -> list[bool]:
    """Return which of the images are rejected."""
    outcomes = inspect_files(Inspector.load(run), paths)
    return [one.verdict == "reject" for one in outcomes if isinstance(one, Inspection)]


def rate(flags: list[bool]) -> dict[str, Any]:
    """Return a rate with its exact 95 % interval."""
    low, high = share_interval(sum(flags), len(flags))
    share = sum(flags) / len(flags)
    return {"rate": round(share, 4), "of": len(flags), "interval": [round(low, 4), round(high, 4)]}


def product_row(name: str, options: argparse.Namespace, seed: int) -> dict[str, Any]:
    """Relight, refine and measure one product."""
    dataset = open_dataset(options.data / SUITE[name][0])
    work = options.work / f"{name}_{seed}"
    parent, here = work / "parent", work / "relit"
    done = here / "row.json"
    if done.is_file():
        return cast(dict[str, Any], json.loads(done.read_text()))
    manifest = Inspector.load(parent).manifest
    trained = {*manifest.spent, *manifest.calibration.images}
    good = [one for one in dataset.good_test if digest(one.path) not in trained]
    first, second = good[::2], good[1::2]
    strength = options.strength
    shown = write_relit(first, here / "shown", seed, 2, strength)
    kept = here / "rejected" / "good"
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True)
    flags = rejected(parent, shown)
    for path, flag in zip(shown, flags, strict=True):
        if flag:
            shutil.copy(path, kept)
    row: dict[str, Any] = {"product": name, "seed": seed, "shown": len(shown), "given": sum(flags)}
    test = write_relit(second, here / "test", seed + 1, COPIES, strength)
    defects = list(dataset.defective_test)
    dark = write_relit(defects, here / "defects", seed + 2, 1, strength)
    run = here / "run"
    if sum(flags):
        shutil.rmtree(run, ignore_errors=True)
        refine(parent, run, good=kept.parent, seed=seed)
    for key, one in (("before", parent), ("after", run if sum(flags) else parent)):
        row[key] = {
            "promised": round(Inspector.load(one).manifest.calibration.reject.rate, 4),
            "relit good rejected": rate(rejected(one, test)),
            "good rejected": rate(rejected(one, [s.path for s in second])),
            "relit defects caught": rate(rejected(one, dark)),
            "defects caught": rate(rejected(one, [s.path for s in defects])),
        }
    write_json(done, row)
    print(row, flush=True)
    return row


def main() -> None:
    """Measure all products and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--only", nargs="+", default=list(SUITE))
    parser.add_argument("--strength", type=float, default=0.3)
    parser.add_argument("--result", default="")
    options = parser.parse_args()
    rows = [product_row(name, options, seed) for seed in options.seeds for name in options.only]
    if options.result:
        write_result(options.result, strength=options.strength, rows=rows)


if __name__ == "__main__":
    main()
