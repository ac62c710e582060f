"""Arguments, options and checks that several commands share."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import click

from flawmap.errors import FlawmapError, UsageError

Function = TypeVar("Function", bound=Callable[..., Any])

PATH = click.Path(path_type=Path)

run_argument = click.argument("run", type=PATH, help="Folder written by flawmap train.")
data_argument = click.argument(
    "data",
    type=PATH,
    help="Dataset folder: MVTec AD, KolektorSDD or another known layout, or a folder with good/.",
)
lines_option = click.option(
    "--json",
    "json_file",
    type=PATH,
    help="Write one JSON line per image to this file; - for standard output.",
)
precision_option = click.option(
    "--precision", default="float32", help="float32, or bf16 or int8 if exported."
)
device_option = click.option(
    "--device", default="cpu", help="cpu; cuda with onnxruntime; GPU or NPU with openvino."
)
threads_option = click.option(
    "--threads",
    type=click.IntRange(min=1),
    help="CPU threads of the model. Default: all, or OMP_NUM_THREADS.",
)
_backend_option = click.option(
    "--backend",
    default="auto",
    help="onnxruntime, openvino, or auto: onnxruntime if it can run the model.",
)


def json_option(help: str) -> Callable[[Function], Function]:
    """``--json FILE`` of a command that writes one JSON object."""
    return click.option("--json", "json_file", type=PATH, help=help)


def runtime_options(function: Function) -> Function:
    """``--backend``, ``--precision``, ``--device`` and ``--threads``: see RuntimeOptions."""
    options = (_backend_option, precision_option, device_option, threads_option)
    for option in reversed(options):  # as a stack of decorators is applied
        function = option(function)
    return function


def rate(text: str | float) -> float:
    """Parse a rate, 0 < rate < 1, from ``1%`` or ``0.01``; UsageError otherwise.

    >>> rate("0.5%"), rate("0.01")
    (0.005, 0.01)
    """
    number, percent, more = str(text).partition("%")
    try:
        value = float(number) / (100.0 if percent else 1.0)
    except ValueError:
        value = float("nan")
    if more or not 0.0 < value < 1.0:
        raise UsageError(f"{text}: give a rate above 0 and below 1, such as 1% or 0.01.")
    return value


def reports() -> bool:
    """Whether this process prints: of several that torchrun has started, only the first does."""
    return os.environ.get("RANK", "0") == "0"


def need_torch(uvx: str = "") -> None:
    """Raise FlawmapError if torch, which training needs, is not installed.

    ``uvx``: the command that uv runs with torch, added to the message.
    """
    if find_spec("torch") is None:
        also = f", or: uvx --from 'flawmap[train]' {uvx}" if uvx else ""
        raise FlawmapError(f"Training needs torch: pip install 'flawmap[train]'{also}")
