"""What to measure: a grid of methods, presets, teachers, categories and seeds."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from flawmap.errors import UsageError


def _listed(value: Any) -> Any:
    """One value stands for a list of it."""
    return value if isinstance(value, (list, tuple)) else (value,)


Names = Annotated[tuple[str, ...], BeforeValidator(_listed), Field(min_length=1)]
Seeds = Annotated[
    tuple[Annotated[int, Field(ge=0)], ...], BeforeValidator(_listed), Field(min_length=1)
]


class Options(BaseModel):
    """What every run of a grid shares; ``None`` leaves the choice to ``flawmap train``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    textures: Path | None = None
    rotate: str | None = None
    size: str | None = Field(None, pattern=r"^\d+x\d+$", description="height x width")
    steps: int | None = Field(None, ge=2)
    batch_size: int | None = Field(None, ge=2)
    device: str | None = None

    def arguments(self) -> list[str]:
        """As ``flawmap train`` takes them."""
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
    """Levels to read out, as ``flawmap evaluate --distances`` takes them; none for the map."""


class Grid(Options):
    """A grid, as the keys of its YAML file. Any list may be given as a single value."""

    data: Path
    """Folder of categories, each in a layout that ``flawmap train`` reads."""
    category: Names = ()
    """Folders in ``data``; all of them if none is named."""
    method: Names = ("destseg",)
    preset: Names = ("fast",)
    teacher: Names = ("pocket",)
    seed: Seeds = (0,)
    variant: dict[str, Variant] = Field({"": Variant()}, min_length=1)
    """Named variants. Those of the same changes are read-outs of one training."""

    def cells(self) -> list[Cell]:
        """Every run of the grid, seeds last, so that one seed of all is there first."""
        options = Options.model_validate({k: getattr(self, k) for k in Options.model_fields})
        axes = (self.seed, self._categories(), self.method, self.preset, self.teacher, self.variant)
        return [
            Cell(
                self.data / category, method, preset, teacher, seed, options,
                variant, self.variant[variant], self._trained_as(variant),
            )
            for seed, category, method, preset, teacher, variant in itertools.product(*axes)
        ]  # fmt: skip

    def _trained_as(self, variant: str) -> str:
        """The first variant of the same changes: one training serves them all."""
        changes = self.variant[variant].changes
        return next(name for name, other in self.variant.items() if other.changes == changes)

    def _categories(self) -> tuple[str, ...]:
        if not self.data.is_dir():
            raise UsageError(f"{self.data} is no folder: give the folder of categories as data.")
        there = sorted(p.name for p in self.data.iterdir() if p.is_dir() and p.name[0] != ".")
        missing = [name for name in self.category if name not in there]
        if missing:
            raise UsageError(f"{self.data} has no {missing[0]}; it has {', '.join(there) or '-'}.")
        if not there:
            raise UsageError(f"{self.data} has no folder of a category in it.")
        return self.category or tuple(there)


@dataclass(frozen=True)
class Cell:
    """One run: train, then evaluate."""

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
        """File name of the result, without its ending; a teacher's file counts by its name."""
        return self._named(self.variant)

    @property
    def run(self) -> str:
        """Name of the folder it trains in."""
        return self._named(self.trained_as)

    def _named(self, variant: str) -> str:
        teacher = Path(self.teacher).stem
        words = (self.dataset, self.category, self.method, self.preset, variant, teacher)
        parts = [re.sub(r"[^A-Za-z0-9_.+]+", "_", word) for word in words if word]
        return "-".join([*parts, str(self.seed)])


def read_grid(path: Path) -> Grid:
    """Grid of a YAML file; paths in it count from its folder. UsageError where it is none."""
    import yaml

    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"Cannot read {path}: {error}.") from error
    except yaml.YAMLError as error:
        raise UsageError(f"{path} is no YAML: {str(error).splitlines()[0]}.") from error
    if not isinstance(found, dict):
        raise UsageError(f"{path} is no grid: it needs lines such as `category: [screw]`.")
    for key in ("data", "textures"):
        if isinstance(found.get(key), str):
            found[key] = path.parent / found[key]
    return check_grid(found, str(path))


def check_grid(values: dict[str, Any], where: str) -> Grid:
    """Grid of plain values; UsageError that names the key which does not fit."""
    try:
        return Grid.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{where}: {key}: {first['msg'].lower()}.") from error
