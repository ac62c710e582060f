"""One side of a comparison: the results of one training variant, by product and seed."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field, FiniteFloat, ValidationError

from flawmap.benchmark.table import read_result
from flawmap.errors import UsageError
from flawmap.evaluation.metrics.catalogue import compared_metrics

Source = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
"""A folder of results, a glob pattern of files, or a list of files."""
Name = tuple[str, str]
"""Key of a product: the folder of categories, and the category."""


def _compared(values: Any) -> Any:
    """Keep the compared metrics and the counts of an object of ``evaluate --json``."""
    keys = {"images", "instances", *(metric.key for metric in compared_metrics())}
    return {k: v for k, v in values.items() if k in keys} if isinstance(values, dict) else values


class Training(BaseModel):
    """Fingerprint of the good images that a run was trained on."""

    fingerprint: str | None = None


class Configuration(BaseModel):
    """Working size, height x width."""

    size: tuple[int, int] | None = None


class Hardware(BaseModel):
    """Hardware that milliseconds depend on."""

    processor: str | None = None
    cores: int | None = None


class Result(BaseModel):
    """Fields of a result file that a comparison reads."""

    method: str
    preset: str
    variant: str = ""
    teacher: str
    dataset: str
    category: str
    seed: int
    commit: str | None = None
    device: str | None = None
    hardware: Hardware = Hardware()
    training: Training = Training()
    configuration: Configuration = Configuration()
    metrics: Annotated[dict[str, FiniteFloat | None], BeforeValidator(_compared)] = Field(
        alias="figures"
    )
    milliseconds: FiniteFloat | None = None

    @property
    def product(self) -> Name:
        """Product that the result was measured on."""
        return self.dataset, self.category

    @property
    def way(self) -> str:
        """Method, preset, variant and teacher, worded as in the table."""
        return f"{self.method} {self.preset}{self.variant and f': {self.variant}'}, {self.teacher}"

    @property
    def size(self) -> str:
        """Working size, height x width."""
        return "x".join(map(str, self.configuration.size or "?"))

    @property
    def machine(self) -> str:
        """Device and hardware of a run."""
        return f"{self.device} {self.hardware}"

    @property
    def images(self) -> int | None:
        """Number of test images; None if the file does not say."""
        return self._count("images")

    @property
    def instances(self) -> int | None:
        """Number of defects in the ground truth; None if the file does not say."""
        return self._count("instances")

    def _count(self, key: str) -> int | None:
        count = self.metrics.get(key)
        return None if count is None else int(count)

    def value(self, key: str) -> float | None:
        """Value of a metric, or the milliseconds; None if it is not defined."""
        return self.milliseconds if key == "milliseconds" else self.metrics.get(key)


@dataclass(frozen=True)
class Side:
    """Results of one training variant: one per product and seed."""

    source: str
    way: str
    products: dict[Name, dict[int, Result]]

    def to_dict(self) -> dict[str, Any]:
        """Return the object stored in a comparison file."""
        runs = [run for seeds in self.products.values() for run in seeds.values()]
        return {
            "results": self.source,
            "way": self.way,
            "seeds": sorted({run.seed for run in runs}),
            "commits": sorted({run.commit for run in runs if run.commit}),
        }


def read_source(source: Source) -> tuple[str, list[Result]]:
    """Return the source's name and all results in it.

    Other files of a folder are skipped. Raises UsageError if there is no result, or if a file
    that was named or matches the pattern is not a result.
    """
    if isinstance(source, (str, os.PathLike)):
        name, folder = os.fspath(source), Path(source)
        named = not folder.is_dir()
        files = glob.glob(name) if named else folder.glob("*.json")  # noqa: PTH207
        paths = [Path(file) for file in files if Path(file).is_file()]
    else:
        name, named, paths = f"{len(source)} files", True, [Path(file) for file in source]
    results = [run for path in sorted(paths) if (run := _read(path, named=named))]
    if not results:
        raise UsageError(f"{name} has no bench results: run flawmap bench first.")
    return name, results


def _read(path: Path, *, named: bool) -> Result | None:
    record = read_result(path)
    if record is None:
        if named:
            raise UsageError(f"{path} is not a bench result: leave it out.")
        return None
    try:
        return Result.model_validate(record)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise UsageError(f"{path} is damaged: {key}: {first['msg'].lower()}.") from error


def choose(source: str, runs: Iterable[Result], variant: str | None) -> Side:
    """Build the side of one variant, or of all results if none is named.

    Raises UsageError if there is no such variant, or if results of several training variants, or
    two of one product and seed, remain.
    """
    runs = list(runs)
    chosen = [run for run in runs if variant in (None, run.variant)]
    if not chosen:
        variants = ", ".join(sorted({run.variant or "''" for run in runs}))
        raise UsageError(f"{source} has no variant {variant!r}: it has {variants}.")
    ways = sorted({run.way for run in chosen})
    if len(ways) > 1:
        raise UsageError(
            f"{source} has results of {'; '.join(ways)}: choose one with --variant, or its files "
            "with a pattern in quotes."
        )
    products: dict[Name, dict[int, Result]] = {}
    for run in chosen:
        seeds = products.setdefault(run.product, {})
        if run.seed in seeds:
            raise UsageError(f"{source} has two results of {run.category}, seed {run.seed}.")
        seeds[run.seed] = run
    return Side(source, ways[0], products)
