"""Options of ``flawmap train``, generated from the fields of TrainConfig."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

import click

from flawmap.cli.options import PATH
from flawmap.errors import UsageError
from flawmap.types import Size

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

_NAMES = {"changes": "--set"}  # where it is not the field's name
_METAVARS = {
    "size": "HxW",
    "overlap": "PIXELS",
    "white_level": "VALUE",
    "changes": "KEY=VALUE",
    "folds": "N",
    "group": "REGEX|folder|N",
}


class ConfigCommand(click.Command):
    """Command with an option for each field of TrainConfig, after DATA and ``--out``.

    The options are made when the command is used, as pydantic takes long to load.
    """

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the command's own parameters with those of TrainConfig between them."""
        data, out, *others = super().get_params(ctx)
        return [data, out, *config_options(), *others]


@functools.cache
def config_options() -> tuple[click.Option, ...]:
    """Return an option for each field of TrainConfig."""
    from flawmap.training.config import TrainConfig

    return tuple(_option(name, field) for name, field in TrainConfig.model_fields.items())


def _option(name: str, field: FieldInfo) -> click.Option:
    kind = _kind(field.annotation)
    several = get_origin(kind) is dict
    return click.Option(
        [_flags(name, on=field.default is True), name],
        type=_type(kind, field),
        is_flag=kind is bool,
        multiple=several,
        default=None if several else field.default,
        metavar=_METAVARS.get(name),
        help=" ".join((field.description or "").split()),
    )


def _flags(name: str, *, on: bool) -> str:
    """Return the option's name; where the default is ``on``, with the one that turns it off."""
    option = name.replace("_", "-")
    return f"--{option}/--no-{option}" if on else _NAMES.get(name, f"--{option}")


def _kind(annotation: Any) -> Any:
    """Return the first type of a union, or the type itself."""
    if get_origin(annotation) in (Union, UnionType):
        return next(kind for kind in get_args(annotation) if kind is not NoneType)
    return annotation


def _type(kind: Any, field: FieldInfo) -> click.ParamType[Any]:
    if get_origin(kind) is Literal:
        return click.Choice(get_args(kind))
    if kind is int:
        least = next((bound.ge for bound in field.metadata if hasattr(bound, "ge")), None)
        return click.INT if least is None else _ShownRange(min=least)
    if get_origin(kind) is dict:
        return click.types.FuncParamType(parse_change)
    if kind == Size:
        return click.types.FuncParamType(parse_size)
    return {bool: click.BOOL, str: click.STRING, Path: PATH}[kind]


class _ShownRange(click.IntRange):
    """Integer whose range ``--help`` shows; TrainConfig refuses a value outside it, in one line."""

    name = "integer"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        return click.INT.convert(value, param, ctx)


def parse_size(text: str) -> Size:
    """Parse ``640x256`` as (height, width).

    >>> parse_size("640x256")
    (640, 256)
    """
    height, times, width = text.partition("x")
    if not (times and height.isdecimal() and width.isdecimal()):
        raise UsageError(f"--size {text}: give height x width in pixels, such as 640x256.")
    return int(height), int(width)


def parse_change(text: str) -> tuple[str, Any]:
    """Parse ``KEY=VALUE``; a value that is not JSON is kept as text.

    >>> parse_change("l1_weight=0"), parse_change("head=large")
    (('l1_weight', 0), ('head', 'large'))
    """
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise UsageError(f"--set {text}: give KEY=VALUE, such as --set l1_weight=0.")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value
