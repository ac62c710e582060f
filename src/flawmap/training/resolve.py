"""Resolve the options of a training: the preset's configuration, the working size, the framing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from flawmap.backbones.base import Backbone
from flawmap.data.resize import Framing, default_overlap
from flawmap.errors import UsageError
from flawmap.methods.config import MethodConfig, check_size, nearest_size
from flawmap.methods.registry import find_preset
from flawmap.training.choices.shape import choose_size, format_size
from flawmap.training.config import TrainConfig, refusal
from flawmap.types import Size


def method_config(config: TrainConfig) -> MethodConfig:
    """Return the preset's configuration with the options applied; UsageError if invalid."""
    preset = find_preset(config.method, config.preset)
    given = _given(config)
    values = preset.model_dump() | given
    if config.steps is not None:
        values["epochs"] = None
    _change(values, config.changes)
    try:
        return type(preset).model_validate(values)
    except ValidationError as error:
        raise UsageError(refusal(error, given)) from error


def _given(config: TrainConfig) -> dict[str, Any]:
    """Return the preset fields that dedicated options replace."""
    options = {
        "size": config.size,
        "batch_size": config.batch_size,
        "precision": config.precision,
        "steps": config.steps,
        "steps_when_turned": config.steps,
    }
    return {name: value for name, value in options.items() if value is not None}


def _change(values: dict[str, Any], changes: Mapping[str, Any]) -> None:
    """Set each dotted key of ``changes`` in ``values``."""
    for name, value in changes.items():
        *path, last = name.split(".")
        part: Any = values
        for key in path:
            part = part.get(key)
            if not isinstance(part, dict):
                raise UsageError(f"--set {name}: the configuration has no section {key}.")
        part[last] = value


def check_backbone(config: TrainConfig, backbone: Backbone) -> int:
    """Return the number of pixels that both sides of the working size must be multiples of.

    Raises UsageError if the size or the levels that were asked for do not suit the backbone; a
    default size is adapted by :func:`choose_open_options` instead.
    """
    method = method_config(config)
    method.check_backbone(backbone)
    multiple = method.size_multiple(backbone)
    if config.size is not None or "size" in config.changes:
        try:
            check_size(method.size, multiple)
        except ValueError as error:
            option = "--set size" if "size" in config.changes else "--size"
            raise UsageError(f"{option} {format_size(method.size)}: {error}.") from error
    return multiple


def choose_open_options(
    config: TrainConfig,
    images: Sequence[Path],
    white_level: int | None,
    size_multiple: int,
    say: Callable[[str], None],
) -> TrainConfig:
    """Return options with the white level and, if left open, the size that suits the images."""
    size = config.size
    if size is None and "size" not in config.changes:
        method = method_config(config)
        usual = nearest_size(method.size, size_multiple)
        if method.follows_shape and config.fit == "squash":
            size = choose_size(usual, images, say, size_multiple)
        elif usual != method.size:
            size = usual
    return config.model_copy(update={"white_level": white_level, "size": size})


def framing(config: TrainConfig, size: Size) -> Framing:
    """Return how images are brought to the working size."""
    overlap = config.overlap
    if overlap is None:
        overlap = default_overlap(size) if config.fit == "tiles" else 0
    return Framing(size, config.fit, overlap, config.white_level)
