"""Options of ``flawmap train``, checked and resolved into a configuration."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from flawmap.backbones.base import Backbone
from flawmap.data.resize import Framing, default_overlap
from flawmap.errors import UsageError
from flawmap.methods.config import MethodConfig, check_size, nearest_size
from flawmap.methods.registry import find_preset
from flawmap.training.choices.shape import settle_size, told
from flawmap.types import Fit, PrecisionChoice
from flawmap.types import RotationChoice as Choice

DEFAULT_TEACHER = "pocket"

PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class Options:
    """The options of one training; :func:`flawmap.train` explains each."""

    data: PathLike
    method: str = "destseg"
    preset: str = "fast"
    teacher: PathLike = DEFAULT_TEACHER
    textures: PathLike | None = None
    rotate: Choice = "auto"
    size: tuple[int, int] | None = None
    fit: Fit = "squash"
    overlap: int | None = None
    white_level: int | None = None
    steps: int | None = None
    batch_size: int | None = None
    precision: PrecisionChoice | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    device: str = "auto"
    resume: bool = False
    layout: str = "auto"
    group: str | int | None = None
    leave_out_outliers: bool = False
    checkpoint_seconds: float = 30.0
    size_multiple: int = 1  # of pixels, set by fitted()

    def configure(self) -> MethodConfig:
        """Return the preset's configuration with the options applied; UsageError if invalid."""
        asked: dict[str, Any] = {
            "size": self.size,
            "batch_size": self.batch_size,
            "precision": self.precision,
        }
        if self.steps is not None:
            asked |= {"steps": self.steps, "steps_when_turned": self.steps}
        asked = {name: value for name, value in asked.items() if value is not None}
        return _configure(find_preset(self.method, self.preset), asked, self.changes)

    def fitted(self, backbone: Backbone) -> Options:
        """Return options that know what the size must be a multiple of.

        Raises UsageError if they do not suit the backbone: a size that was asked for (the default
        is adapted by :meth:`settled`), or a choice of levels.
        """
        config = self.configure()
        config.check_backbone(backbone)
        multiple = config.size_multiple(backbone)
        if self.size is not None or "size" in self.changes:
            try:
                check_size(config.size, multiple)
            except ValueError as error:
                option = "--set size" if "size" in self.changes else "--size"
                raise UsageError(f"{option} {told(config.size)}: {error}.") from error
        return replace(self, size_multiple=multiple)

    def settled(
        self, images: Sequence[Path], white_level: int | None, say: Callable[[str], None]
    ) -> Options:
        """Return options with the white level and, if left open, the size from settle_size."""
        config = self.configure()
        size = self.size
        if size is None and "size" not in self.changes:
            usual = nearest_size(config.size, self.size_multiple)
            if config.follows_shape and self.fit == "squash":
                size = settle_size(usual, images, say, self.size_multiple)
            elif usual != config.size:
                size = usual
        return replace(self, white_level=white_level, size=size)

    def framing(self, size: tuple[int, int]) -> Framing:
        """Return how images are brought to the working size."""
        overlap = self.overlap
        if overlap is None:
            overlap = default_overlap(size) if self.fit == "tiles" else 0
        return Framing(size, self.fit, overlap, self.white_level)


def _configure(
    config: MethodConfig, asked: Mapping[str, Any], changes: Mapping[str, Any]
) -> MethodConfig:
    values = config.model_dump() | dict(asked)
    if "steps" in asked:
        values["epochs"] = None
    for name, value in changes.items():
        *path, last = name.split(".")
        part: Any = values
        for key in path:
            part = part.get(key)
            if not isinstance(part, dict):
                raise UsageError(f"--set {name}: the configuration has no {key} with parts.")
        part[last] = value
    try:
        return type(config).model_validate(values)
    except ValidationError as error:
        raise UsageError(_refusal(error, asked)) from error


def _refusal(error: ValidationError, asked: Mapping[str, Any]) -> str:
    """Return a message that names the invalid option and the reason."""
    first = error.errors()[0]
    why = first["msg"].removeprefix("Value error, ")
    why = why[:1].lower() + why[1:]
    if not first["loc"]:  # two fields contradict each other
        return f"These settings do not fit each other: {why}."
    name = ".".join(str(part) for part in first["loc"])
    option = f"--{name.replace('_', '-')}" if name in asked else f"--set {name}"
    given = "x".join(map(str, first["input"])) if name == "size" else first["input"]
    return f"{option} {given}: {why}."
