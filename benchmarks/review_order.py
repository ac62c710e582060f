"""Which order of reviews teaches most: gain by the number of parts that a person has looked at.

    python benchmarks/review_order.py SHARED_DATA WORK --parents DIR [--only transistor ...]
        [--counts 5 10 20 40] [--draws 2] [--seed 0]

A run that was trained on good parts judges half of the test parts, which come as a stream. A person
reviews n of them: any, in random order; those that the run rejects or sends to review, in random
order; or these in an order of the station's queue. Ground-truth masks stand for drawings. The run
is refined with what was reviewed: defective parts, and good ones that it had flagged. Gain is
measured on the other half of the test parts. DIR/PRODUCT_SEED/parent are trained by
known_defects.py. Rows that exist are not repeated.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from known_defects import METRICS, SUITE, values, write_defects
from numpy.typing import NDArray
from record import write_result

from flawmap.data.layouts import Dataset, Sample, open_dataset
from flawmap.evaluation.used_images import evaluation_images
from flawmap.inspection.bundle.manifest import MANIFEST
from flawmap.inspection.decision import Inspection
from flawmap.inspection.inspector import Inspector
from flawmap.inspection.pipeline import inspect_files
from flawmap.station.parts.pattern import pattern_of
from flawmap.station.review.teaching import choose, described, promise
from flawmap.training.refining.refine import refine
from flawmap.utils.files import write_json
from flawmap.utils.rng import keyed

ORDERS = ("any", "random", "nearest", "teaches")
"""`any`: random order of all parts; `random`: of the flagged ones."""


@dataclass(frozen=True)
class Judged:
    """A part of the stream, and what is stored with it."""

    sample: Sample
    flagged: bool
    score: float
    p_value: float
    pattern: bytes


def halves(samples: Sequence[Sample], seed: int) -> tuple[list[Sample], list[Sample]]:
    """Return the stream and the parts to measure on: each second one of each type, by chance."""
    stream: list[Sample] = []
    measured: list[Sample] = []
    kinds = sorted({one.defect_type or "" for one in samples})
    for number, kind in enumerate(kinds):
        own = [one for one in samples if (one.defect_type or "") == kind]
        order = keyed(seed, 2**34 + number).permutation(len(own))
        stream += [own[i] for i in order[::2]]
        measured += [own[i] for i in order[1::2]]
    arrival = keyed(seed, 2**34 + 2**20).permutation(len(stream))
    return [stream[i] for i in arrival], measured


def judged(inspector: Inspector, stream: Sequence[Sample]) -> list[Judged]:
    """Let the run judge the stream; return its parts in order of arrival."""
    results = inspect_files(inspector, [one.path for one in stream])
    parts = []
    for sample, one in zip(stream, results, strict=True):
        if isinstance(one, Inspection):
            p_value, pattern = float(one.p_value), pattern_of(one.raw_map)
            flagged = one.verdict != "good"
            parts.append(Judged(sample, flagged, float(one.score), p_value, pattern))
    return parts


def in_order(order: str, parts: Sequence[Judged], inspector: Inspector, draw: int) -> list[Judged]:
    """Return parts in the order in which a person reviews them."""
    queue = list(parts) if order == "any" else [one for one in parts if one.flagged]
    return [queue[i] for i in _indices(order, queue, inspector, draw)]


def _indices(order: str, queue: Sequence[Judged], inspector: Inspector, draw: int) -> list[int]:
    if order in ("any", "random"):
        return [int(i) for i in keyed(draw, 2**35).permutation(len(queue))]
    limits = inspector.manifest.calibration.reject
    p_values = np.array([one.p_value for one in queue])
    if order == "nearest":
        return [int(i) for i in np.argsort(np.abs(np.log(p_values / limits.rate)), kind="stable")]
    scores = np.array([one.score for one in queue])
    seen = described([one.pattern for one in queue])
    none: NDArray[np.float32] = seen[:0]
    return choose(promise(p_values, limits.rate, scores, limits.value), seen, none, len(queue))


def learn(
    parent: Path, reviewed: Sequence[Judged], folder: Path, data: Path, seed: int
) -> Path | None:
    """Refine the run with what was reviewed; None if nothing was that teaches."""
    run = folder / "run"
    defects = [one.sample for one in reviewed if one.sample.label == "defective"]
    good = [one.sample for one in reviewed if one.sample.label == "good" and one.flagged]
    if not defects and not good:
        return None
    shutil.rmtree(folder, ignore_errors=True)
    if defects:
        write_defects(defects, folder / "defects")
    for number, sample in enumerate(good):
        target = folder / "parts" / "good"
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(sample.path, target / f"{number:03}{sample.path.suffix}")
    refine(
        parent,
        run,
        defects=folder / "defects" if defects else None,
        good=folder / "parts" if good else None,
        data=data,
        seed=seed,
    )
    return run


def product_rows(name: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure one product: a row for each order, draw of the random order, and number."""
    place, _ = SUITE[name]
    data, seed = options.data / place, options.seed
    parent = options.parents / f"{name}_{seed}" / "parent"
    if not (parent / MANIFEST).is_file():
        print(f"{name}: no run in {parent}, left out", flush=True)
        return []
    dataset, inspector = open_dataset(data), Inspector.load(parent)
    stream, measured = halves(evaluation_images(dataset, inspector.manifest).samples, seed)
    parts = judged(inspector, stream)
    queue = sum(one.flagged for one in parts)
    print(f"{name}: {queue} of {len(parts)} flagged", flush=True)
    before = values(parent, dataset, measured)
    rows = []
    for count in options.counts:
        for draw in range(options.draws):
            for order in options.orders if draw == 0 else ("any", "random"):
                if order not in options.orders or (count >= queue and order != "any"):
                    continue
                case = options.work / f"{name}_{seed}" / f"{order}_{draw}_{count}"
                chosen = in_order(order, parts, inspector, draw)[:count]
                rows.append(_row(case, parent, chosen, dataset, data, measured, before, seed))
                rows[-1] |= {"product": name, "seed": seed, "order": order, "draw": draw}
                rows[-1] |= {"reviews": count, "queue": queue, "measured": len(measured)}
                print(_line(rows[-1]), flush=True)
    return rows


def _row(
    case: Path,
    parent: Path,
    reviewed: Sequence[Judged],
    dataset: Dataset,
    data: Path,
    measured: Sequence[Sample],
    before: dict[str, float],
    seed: int,
) -> dict[str, Any]:
    kept = case / "row.json"
    if not kept.is_file():
        run = learn(parent, reviewed, case, data, seed)
        kinds = [one.sample.defect_type or "good" for one in reviewed]
        after = values(run, dataset, measured) if run is not None else before
        taught = {kind: kinds.count(kind) for kind in sorted(set(kinds))}
        write_json(kept, {"taught": taught, "before": before, "after": after})
        shutil.rmtree(case / "run", ignore_errors=True)
    row: dict[str, Any] = json.loads(kept.read_text())
    return row


def _line(row: dict[str, Any]) -> str:
    gains = (f"{name} {row['after'][name] - row['before'][name]:+.3f}" for name in METRICS)
    head = f"{row['product']} {row['order']} {row['draw']} n={row['reviews']} {row['taught']}"
    return f"{head}: {', '.join(gains)}"


def gains(rows: Sequence[dict[str, Any]], metric: str) -> dict[str, dict[str, dict[int, float]]]:
    """Return the mean gain by product, order and number of reviews."""
    table: dict[str, dict[str, dict[int, float]]] = {}
    for product in dict.fromkeys(row["product"] for row in rows):
        for order in dict.fromkeys(row["order"] for row in rows):
            own = [r for r in rows if r["product"] == product and r["order"] == order]
            table.setdefault(product, {})[order] = {
                n: round(
                    statistics.mean(
                        r["after"][metric] - r["before"][metric] for r in own if r["reviews"] == n
                    ),
                    4,
                )
                for n in sorted({r["reviews"] for r in own})
            }
    return table


def needed(by_order: dict[str, dict[int, float]]) -> dict[str, int | None]:
    """Return how many reviews each order needs for the best gain of random order of all parts."""
    wanted = max(by_order["any"].values(), default=0.0)
    return {
        order: next((n for n, gain in sorted(own.items()) if gain >= wanted), None)
        for order, own in by_order.items()
    }


def main() -> None:
    """Run all cases and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--parents", type=Path, required=True)
    parser.add_argument("--only", nargs="+", default=list(SUITE))
    parser.add_argument("--counts", type=int, nargs="+", default=[5, 10, 20, 40])
    parser.add_argument("--orders", nargs="+", choices=ORDERS, default=list(ORDERS))
    parser.add_argument("--draws", type=int, default=2, help="random orders")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--result", default="", help="name of the result file")
    options = parser.parse_args()
    rows = [row for name in options.only for row in product_rows(name, options)]
    for metric in METRICS:
        print(metric, json.dumps(gains(rows, metric)))
    if options.result and rows:
        found = gains(rows, "pixel_ap")
        needs = {product: needed(own) for product, own in found.items()}
        tables = {metric: gains(rows, metric) for metric in METRICS}
        write_result(options.result, gains=tables, reviews_needed=needs, rows=rows)


if __name__ == "__main__":
    main()
