"""Difference B - A of every metric on one product, and in the mean over products."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import fmean, stdev, variance

from flawmap.benchmark.sides import Result
from flawmap.evaluation.metrics.catalogue import compared_metrics


def compared_keys() -> tuple[str, ...]:
    """Keys of the compared metrics, and of the milliseconds per image."""
    return (*(metric.key for metric in compared_metrics()), "milliseconds")


@dataclass(frozen=True)
class Difference:
    """One metric on both sides, as means over seeds; None where it is not defined.

    ``deviation`` is the sample deviation of B - A over seeds: of the per-seed differences
    ``by_seed`` if seeds match, else of one run of B minus one run of A. None for one seed.
    """

    a: float | None = None
    b: float | None = None
    difference: float | None = None
    deviation: float | None = None
    by_seed: dict[int, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Product:
    """Results of both sides on one product.

    If ``paired``, ``a`` and ``b`` match seed by seed; else no seed is on both sides.
    """

    name: str
    a: tuple[Result, ...]
    b: tuple[Result, ...]
    paired: bool

    @property
    def runs(self) -> tuple[Result, ...]:
        """Results of both sides."""
        return self.a + self.b

    @property
    def seeds(self) -> int:
        """Number of seeds on the side that has fewer."""
        return min(len(self.a), len(self.b))

    def differences(self) -> dict[str, Difference]:
        """Difference of every metric, over the seeds on which it is defined."""
        find = _paired if self.paired else _unpaired
        return {metric: find(self.a, self.b, metric) for metric in compared_keys()}


def pair(name: str, a: dict[int, Result], b: dict[int, Result]) -> Product:
    """Pair both sides' results by seed: those of the matching seeds, or all if none match."""
    common = sorted(a.keys() & b.keys())
    if not common:
        return Product(name, tuple(a.values()), tuple(b.values()), paired=False)
    return Product(name, tuple(a[s] for s in common), tuple(b[s] for s in common), paired=True)


def _paired(a: Sequence[Result], b: Sequence[Result], metric: str) -> Difference:
    both = ((x.seed, x.value(metric), y.value(metric)) for x, y in zip(a, b, strict=True))
    known = [(seed, x, y) for seed, x, y in both if x is not None and y is not None]
    if not known:
        return Difference()
    by_seed = {seed: y - x for seed, x, y in known}
    return _of_seeds(fmean(x for _, x, _ in known), fmean(y for _, _, y in known), by_seed)


def _unpaired(a: Sequence[Result], b: Sequence[Result], metric: str) -> Difference:
    xs, ys = _values(a, metric), _values(b, metric)
    if not xs or not ys:
        return Difference()
    known = min(len(xs), len(ys)) > 1
    deviation = math.sqrt(variance(xs) + variance(ys)) if known else None
    return Difference(fmean(xs), fmean(ys), fmean(ys) - fmean(xs), deviation)


def _values(runs: Iterable[Result], metric: str) -> list[float]:
    return [value for run in runs if (value := run.value(metric)) is not None]


def _of_seeds(a: float, b: float, by_seed: dict[int, float]) -> Difference:
    deviation = stdev(by_seed.values()) if len(by_seed) > 1 else None
    return Difference(a, b, b - a, deviation, by_seed)


def mean_differences(products: Sequence[dict[str, Difference]]) -> dict[str, Difference]:
    """Mean difference of every metric over the products on which it is defined.

    Its deviation is that of this mean over the seeds that all those products share.
    """
    return {metric: _mean([product[metric] for product in products]) for metric in compared_keys()}


def _mean(differences: Sequence[Difference]) -> Difference:
    known = [(d.a, d.b, d.by_seed) for d in differences if d.a is not None and d.b is not None]
    if not known:
        return Difference()
    shared = set.intersection(*({*by_seed} for _, _, by_seed in known))
    by_seed = {seed: fmean(d[seed] for _, _, d in known) for seed in sorted(shared)}
    return _of_seeds(fmean(a for a, _, _ in known), fmean(b for _, b, _ in known), by_seed)
