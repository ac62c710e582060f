"""Options and checks that several commands share."""

from __future__ import annotations

from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from flawmap.errors import FlawmapError, UsageError


class Rotate(StrEnum):
    """How good images are rotated in training."""

    auto = "auto"
    none = "none"
    slight = "slight"
    full = "full"


class TrainingPrecision(StrEnum):
    """Precision of convolutions in training."""

    auto = "auto"
    float32 = "float32"
    bf16 = "bf16"


class Fit(StrEnum):
    """How images are brought to the working size."""

    squash = "squash"
    letterbox = "letterbox"
    tiles = "tiles"


Run = Annotated[Path, typer.Argument(metavar="RUN", help="Folder that train wrote.")]
Data = Annotated[
    Path,
    typer.Argument(metavar="DATA", help="MVTec AD category, KolektorSDD, or a folder with good/."),
]
Layout = Annotated[
    str,
    typer.Option(
        help="auto, mvtec, mvtec_loco, mvtec_ad_2, visa, real_iad, dagm, kolektor_sdd, "
        "kolektor_sdd2 or folder."
    ),
]
Backend = Annotated[
    str, typer.Option(help="onnxruntime, openvino, or auto: onnxruntime where it can.")
]
PrecisionName = Annotated[
    str, typer.Option("--precision", help="float32; bf16 or int8 once exported.")
]
Device = Annotated[str, typer.Option(help="cpu; cuda with onnxruntime; GPU, NPU with openvino.")]
Threads = Annotated[
    int | None, typer.Option(min=1, help="Processor threads of the graph; all if not given.")
]


def rate(text: str | float) -> float:
    """Parse a rate, 0 < rate < 1, from ``1%`` or ``0.01``; UsageError otherwise.

    >>> rate("0.5%"), rate("0.01")
    (0.005, 0.01)
    """
    number, percent, more = str(text).partition("%")
    try:
        found = float(number) / (100.0 if percent else 1.0)
    except ValueError:
        found = float("nan")
    if more or not 0.0 < found < 1.0:
        raise UsageError(f"{text}: give a rate above 0 and below 1, such as 1% or 0.01.")
    return found


Seed = Annotated[int, typer.Option(min=0, help="The same seed gives the same result.")]


def need_torch(uvx: str = "") -> None:
    """Raise FlawmapError if torch, which training needs, is not installed.

    ``uvx``: the command that uv runs with torch, added to the message.
    """
    if find_spec("torch") is None:
        also = f", or: uvx --from 'flawmap[train]' {uvx}" if uvx else ""
        raise FlawmapError(f"Training needs torch: pip install 'flawmap[train]'{also}")
