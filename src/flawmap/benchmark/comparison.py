"""``flawmap bench compare``: differences from side A to side B, and the protocol's verdict."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from flawmap.benchmark.differences import Difference, Product, compared_keys, mean_differences, pair
from flawmap.benchmark.protocol import Verdict, judge
from flawmap.benchmark.provenance import provenance
from flawmap.benchmark.sides import Name, Side, Source, choose, read_source
from flawmap.data.samples import plural
from flawmap.data.targets import check_target
from flawmap.errors import UsageError
from flawmap.utils.files import make_folder, write_json


@dataclass(frozen=True)
class Comparison:
    """Metrics of the products that both sides have, by product and metric, and their means.

    ``absent`` maps each product that only one side has to that side, A or B; ``variants`` counts
    the training variants among all results read; ``notes`` are caveats about the metrics.
    """

    a: Side
    b: Side
    products: tuple[Product, ...]
    differences: dict[str, dict[str, Difference]]
    mean: dict[str, Difference]
    absent: dict[str, str]
    variants: int
    notes: tuple[str, ...]
    verdict: Verdict

    @property
    def pairs(self) -> int:
        """Number of results of A that were compared with one of B."""
        return sum(product.seeds for product in self.products)

    def compared(self) -> str:
        """Sentence that says what was compared, with counts."""
        words = (
            f"Compared: {plural(self.pairs, 'pair(s)')} of results on "
            f"{plural(len(self.products), 'product(s)')}, 2 variants"
        )
        if self.variants == 2:
            return f"{words}."
        return f"{words} of {self.variants}: the best of many seems better than it is."

    def to_dict(self) -> dict[str, Any]:
        """Return the object that ``bench compare --json`` writes, without its provenance."""
        return {
            "a": self.a.to_dict(),
            "b": self.b.to_dict(),
            "compared": {
                "pairs": self.pairs,
                "products": len(self.products),
                "variants": 2,
                "variants_there": self.variants,
            },
            "products": {p.name: _written(p, self.differences[p.name]) for p in self.products},
            "mean": {key: asdict(one) for key, one in self.mean.items()},
            "absent": self.absent,
            "notes": list(self.notes),
            "verdict": {
                "may_become_default": self.verdict.may_become_default,
                **asdict(self.verdict),
            },
        }


def _written(product: Product, differences: dict[str, Difference]) -> dict[str, Any]:
    return {
        "seeds_a": [run.seed for run in product.a],
        "seeds_b": [run.seed for run in product.b],
        "paired": product.paired,
        "figures": {key: asdict(one) for key, one in differences.items()},
    }


def compare(
    a: Source,
    b: Source | None = None,
    *,
    variants: Sequence[str] = (),
    json_file: str | os.PathLike[str] | None = None,
    command: str = "",
) -> Comparison:
    """Compare two sides of results of :func:`bench`, product by product and in the mean.

    ``a`` and ``b`` are folders of results, glob patterns, or lists of files; ``variants`` names
    A's and B's variant, or one for both. Without ``b`` both sides are read from ``a``.
    ``json_file`` names a file to write. Raises UsageError if a side has no results or those of
    several training variants, if no product is on both sides, or if a product's data differ.
    """
    check_target(json_file, "compared")
    if len(variants) > 2 or (b is None and len({*variants}) < 2):
        raise UsageError("Give two folders of results, or one and two variants: A, then B.")
    first = read_source(a)
    second = first if b is None else read_source(b)
    of_a, of_b = [*variants, *variants][:2] or (None, None)
    all_variants = {(source, run.way) for source, runs in (first, second) for run in runs}
    comparison = _compare(choose(*first, of_a), choose(*second, of_b), len(all_variants))
    if json_file is not None:
        make_folder(Path(json_file).parent)
        write_json(Path(json_file), provenance(command) | comparison.to_dict())
    return comparison


def _compare(a: Side, b: Side, variants: int) -> Comparison:
    if a == b:
        raise UsageError(f"A and B are the same results: those of {a.way} in {a.source}.")
    names = _names(a, b)
    both = [key for key in names if key in a.products and key in b.products]
    if not both:
        raise UsageError(f"A and B have no product in common: {', '.join(names.values())}.")
    products = tuple(pair(names[key], a.products[key], b.products[key]) for key in both)
    for product in products:
        _check_data(product)
    differences = {product.name: product.differences() for product in products}
    mean = mean_differences(list(differences.values()))
    absent = {names[k]: "A" if k in a.products else "B" for k in names if k not in both}
    notes = [f"{name} is only in {side} and is not compared." for name, side in absent.items()]
    for key, product in zip(both, products, strict=True):
        notes += _about_seeds(product, a.products[key].keys() ^ b.products[key].keys())
        notes += _about_data(product)
    notes += _about_means(products, differences, mean)
    verdict = judge(
        {key: one.difference for key, one in mean.items()},
        {name: {k: one.difference for k, one in of.items()} for name, of in differences.items()},
        {product.name: product.seeds for product in products},
        [*absent],
    )
    return Comparison(a, b, products, differences, mean, absent, variants, tuple(notes), verdict)


def _names(a: Side, b: Side) -> dict[Name, str]:
    """Display name of each product: its category, prefixed by the folder if ambiguous."""
    keys = sorted(a.products.keys() | b.products.keys())
    categories = [category for _, category in keys]
    return {(d, c): c if categories.count(c) == 1 else f"{d} {c}" for d, c in keys}


def _check_data(product: Product) -> None:
    """Raise UsageError if results differ in their good images or number of test images."""
    values_by_kind: dict[str, set[str]] = {
        "were trained on different good images": {
            str(run.training.fingerprint)[:12] for run in product.runs
        },
        "have different numbers of test images": {str(run.images) for run in product.runs},
    }
    for what, values in values_by_kind.items():
        known = sorted(values - {"None"})
        if len(known) > 1:
            raise UsageError(
                f"{product.name}: the results {what} ({', '.join(known)}): compare results on the "
                "same data."
            )


def _about_seeds(product: Product, alone: set[int]) -> Iterator[str]:
    if not product.paired:
        yield (
            f"{product.name}: no seed is on both sides, so runs are not paired; the deviation "
            "is that of one run of B minus one run of A."
        )
    elif alone:
        yield (
            f"{product.name}: {'seed' if len(alone) == 1 else 'seeds'} "
            f"{', '.join(map(str, sorted(alone)))} on one side only: left out."
        )


def _about_data(product: Product) -> Iterator[str]:
    if any(run.training.fingerprint is None or run.images is None for run in product.runs):
        yield f"{product.name}: not every result records its images; check that all are the same."
    sizes = {run.size for run in product.runs}
    if len(sizes) > 1:
        which = ", ".join(sorted(sizes))
        yield f"{product.name}: pixel metrics were measured at different sizes ({which})."
    counts = {run.instances for run in product.runs}
    if len(counts) > 1:
        which = ", ".join(sorted(map(str, counts)))
        yield f"{product.name}: results differ in the number of defects in the masks ({which})."


def _about_means(
    products: Sequence[Product],
    differences: dict[str, dict[str, Difference]],
    mean: dict[str, Difference],
) -> Iterator[str]:
    for key in compared_keys():
        without = [name for name, one in differences.items() if one[key].difference is None]
        if without and len(without) < len(differences):
            yield f"The mean of {key} leaves out {', '.join(without)}, where it is undefined."
    if any(one.deviation is None for one in mean.values() if one.difference is not None):
        yield "A mean has no deviation where its products do not share two seeds."
    machines = {run.machine for product in products for run in product.runs}
    if mean["milliseconds"].difference is not None and len(machines) > 1:
        yield "Milliseconds come from different machines or core counts: they show no change."
