"""Benchmark grids of methods, presets, teachers, categories and seeds."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from flawmap.errors import UsageError

_WEIGHTS = {".safetensors", ".pth", ".pt"}  # suffixes of weights files


def _listed(value: Any) -> Any:
    """Wrap a single value in a tuple."""
    return value if isinstance(value, (list, tuple)) else (value,)


Names = Annotated[tuple[str, ...], BeforeValidator(_listed), Field(min_length=1)]
Seeds = Annotated[
    tuple[Annotated[int, Field(ge=0)], ...], BeforeValidator(_listed), Field(min_length=1)
]


class Options(BaseModel):
    """Options shared by every run of a grid; ``None`` leaves the choice to ``flawmap train``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    textures: Path | None = None
    rotate: str | None = None
    size: str | None = Field(None, pattern=r"^\d+x\d+$", description="height x width")
    steps: int | None = Field(None, ge=2)
    batch_size: int | None = Field(None, ge=2)
    device: str | None = None

    def arguments(self) -> list[str]:
        """Return the options as arguments of ``flawmap train``."""
        return [
            word
            for name, value in self
            if value is not None
            for word in (f"--{name.replace('_', '-')}", str(value))
        ]


class Variant(BaseModel):
    """One way to train and read out a method."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    changes: dict[str, Any] = {}
    """Changes of the preset's configuration; keys as ``flawmap train --set`` takes them."""
    distances: tuple[Annotated[int, Field(ge=1)], ...] = ()
    """Levels to read out, as ``flawmap evaluate --distances`` takes them; empty for the map."""


class Products(Options):
    """Categories of one data folder, and options that apply to them alone."""

    data: Path
    """Folder of categories, each in a layout that ``flawmap train`` reads."""
    category: Names = ()
    """Folders in ``data``; empty for all of them."""


class Range(BaseModel):
    """Values that a search may give a field of the configuration."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    low: float | None = None
    high: float | None = None
    log: bool = False
    """Draw the logarithm evenly, for values over several magnitudes."""
    integer: bool = False
    choice: tuple[Any, ...] = ()
    """Replaces low and high: one of these."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.choice:
            if self.low is not None or self.high is not None or self.log or self.integer:
                raise PydanticCustomError("range", "give choice, or low and high, not both")
        elif self.low is None or self.high is None or self.low >= self.high:
            raise PydanticCustomError("range", "give low and high, the lower first, or choice")
        elif self.log and self.low <= 0:
            raise PydanticCustomError("range", "log needs a low above 0")
        return self


class Search(BaseModel):
    """Sweep over settings, judged by the mean over all products of the grid and their seeds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ranges: dict[str, Range] = Field(min_length=1)
    """By field of the configuration; keys as ``flawmap train --set`` takes them."""
    trials: int = Field(20, ge=1)
    """Settings to try, those of earlier calls into the same folder counted."""
    objective: str = "pixel_ap"
    """Metric to be maximised."""
    seed: int = Field(0, ge=0)
    """Seed of the search; each training has the grid's seeds."""


class Grid(Options):
    """Grid with the keys of its YAML file; any list may be given as a single value."""

    data: Path | None = None
    """Folder of categories, if all share it and their options; see ``products``."""
    category: Names = ()
    """Folders in ``data``; if ``products`` is given, measure only these of their categories."""
    products: tuple[Products, ...] = ()
    """Replaces ``data``; a product's own option overrides the grid's."""
    method: Names = ("destseg",)
    preset: Names = ("fast",)
    teacher: Names = ("pocket",)
    seed: Seeds = (0,)
    variant: dict[str, Variant] = Field({"": Variant()}, min_length=1)
    """Named variants. Those with equal changes are read-outs of one training."""

    search: Search | None = None
    """Replaces ``variant``: try settings drawn from ranges."""

    @model_validator(mode="after")
    def _has_data(self) -> Self:
        if self.search is not None and tuple(self.variant) != ("",):
            raise PydanticCustomError("search", "search: it replaces variant, give one of them")
        if self.data is None and not self.products:
            raise PydanticCustomError("data", "data: field required, or products, a list of them")
        if self.data is not None and self.products:
            raise PydanticCustomError("data", "products: each has data of its own, leave data out")
        return self

    def cells(self) -> list[Cell]:
        """All runs of the grid, ordered by seed, so that one seed of each finishes first.

        Raises UsageError if a folder is missing or two runs have the same name.
        """
        axes = (self.seed, self._products(), self.method, self.preset, self.teacher, self.variant)
        cells = [
            Cell(
                data, method, preset, teacher, seed, options,
                variant, self.variant[variant], self._trained_as(variant),
            )
            for seed, (data, options), method, preset, teacher, variant in itertools.product(*axes)
        ]  # fmt: skip
        (name, count), *_ = Counter(cell.name for cell in cells).most_common(1)
        if count > 1:
            raise UsageError(
                f"{count} runs of the grid would be named {name}: list each product, variant and "
                "seed once, with a unique name."
            )
        return cells

    def _trained_as(self, variant: str) -> str:
        """Name of the first variant with the same changes: one training serves them all."""
        changes = self.variant[variant].changes
        return next(name for name, other in self.variant.items() if other.changes == changes)

    def _products(self) -> list[tuple[Path, Options]]:
        """Folder and options of every requested product."""
        own = _options(self)
        if self.data is not None:
            return [(self.data / name, own) for name in _categories(self.data, self.category)]
        there = [
            (one.data / name, own.model_copy(update=_options(one).model_dump(exclude_none=True)))
            for one in self.products
            for name in _categories(one.data, one.category)
        ]
        names = [data.name for data, _ in there]
        if missing := [name for name in self.category if name not in names]:
            raise UsageError(f"There is no product {missing[0]}; there are {', '.join(names)}.")
        return [one for one in there if one[0].name in (self.category or names)]


def _categories(data: Path, named: tuple[str, ...]) -> tuple[str, ...]:
    """The named folders of ``data``, or all; UsageError if a named one is missing or none exist."""
    if not data.is_dir():
        raise UsageError(f"{data} is not a folder: give the folder of categories as data.")
    there = sorted(p.name for p in data.iterdir() if p.is_dir() and p.name[0] != ".")
    missing = [name for name in named if name not in there]
    if missing:
        raise UsageError(f"{data} has no {missing[0]}; it has {', '.join(there) or '-'}.")
    if not there:
        raise UsageError(f"{data} contains no category folder.")
    return named or tuple(there)


def _options(of: Options) -> Options:
    """Copy only the fields of ``Options``."""
    return Options.model_validate({name: getattr(of, name) for name in Options.model_fields})


@dataclass(frozen=True)
class Cell:
    """One run of a grid: train, then evaluate."""

    data: Path
    method: str
    preset: str
    teacher: str
    seed: int
    options: Options
    variant: str = ""
    what: Variant = field(default_factory=Variant)
    trained_as: str = ""

    @property
    def category(self) -> str:
        """Name of the category's folder."""
        return self.data.name

    @property
    def dataset(self) -> str:
        """Name of the folder of categories."""
        return self.data.resolve().parent.name

    @property
    def name(self) -> str:
        """File name of the result without suffix."""
        return self._named(self.variant)

    @property
    def teacher_label(self) -> str:
        """The teacher's name, in which a weights file has neither folder nor suffix."""
        name, file = split_teacher(self.teacher)
        path = Path(file)
        return name + (path.stem if path.suffix.lower() in _WEIGHTS else path.name)

    @property
    def run(self) -> str:
        """Name of the training folder."""
        return self._named(self.trained_as)

    def _named(self, variant: str) -> str:
        words = (
            self.dataset, self.category, self.method, self.preset, variant, self.teacher_label,
        )  # fmt: skip
        parts = [re.sub(r"[^A-Za-z0-9_.+]+", "_", word) for word in words if word]
        return "-".join([*parts, str(self.seed)])


def split_teacher(teacher: str) -> tuple[str, str]:
    """Split a teacher's text before what may be a weights file; either part may be empty.

    >>> split_teacher("timm:resnet18.a1_in1k@a/b.safetensors")
    ('timm:resnet18.a1_in1k@', 'a/b.safetensors')
    >>> split_teacher("timm:resnet18.a1_in1k"), split_teacher("a/b.pth")
    (('timm:resnet18.a1_in1k', ''), ('', 'a/b.pth'))
    """
    if not teacher.startswith("timm:"):
        return "", teacher
    name, at, file = teacher.partition("@")
    return name + at, file


def read_grid(path: Path) -> Grid:
    """Read a grid from YAML; paths are relative to its folder. UsageError if it is invalid."""
    import yaml

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"Cannot read {path}: {error}.") from error
    except yaml.YAMLError as error:
        raise UsageError(f"{path} is not valid YAML: {str(error).splitlines()[0]}.") from error
    if not isinstance(values, dict):
        raise UsageError(f"{path} is not a grid: it needs lines such as `category: [screw]`.")
    listed = values.get("products")
    for part in (values, *(listed if isinstance(listed, list) else ())):
        for key in ("data", "textures"):
            if isinstance(part, dict) and isinstance(part.get(key), str):
                part[key] = path.parent / part[key]
    return check_grid(values, str(path))


def check_grid(values: dict[str, Any], where: str) -> Grid:
    """Validate plain values as a grid; UsageError names the key that does not fit."""
    try:
        return Grid.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        prefix = f"{key}: " if key else ""  # errors about the whole grid name their keys themselves
        raise UsageError(f"{where}: {prefix}{first['msg'].lower()}.") from error
