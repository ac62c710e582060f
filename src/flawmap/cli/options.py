"""Options that several verbs share, and what they all need."""

from __future__ import annotations

from enum import Enum
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from flawmap.errors import FlawmapError


class Rotate(str, Enum):
    """How good images are turned in training."""

    auto = "auto"
    none = "none"
    slight = "slight"
    full = "full"


Run = Annotated[Path, typer.Argument(metavar="RUN", help="Folder that train wrote.")]
Data = Annotated[
    Path,
    typer.Argument(metavar="DATA", help="MVTec AD category, KolektorSDD, or a folder with good/."),
]
Layout = Annotated[str, typer.Option(help="auto, mvtec, kolektor_sdd, kolektor_sdd2 or folder.")]
Backend = Annotated[
    str, typer.Option(help="onnxruntime, openvino, or auto: onnxruntime where it can.")
]
PrecisionName = Annotated[
    str, typer.Option("--precision", help="float32; bf16 with openvino; int8 once exported.")
]
Device = Annotated[str, typer.Option(help="cpu; cuda with onnxruntime; GPU, NPU with openvino.")]
Threads = Annotated[
    int | None, typer.Option(min=1, help="Processor threads of the graph; all if not given.")
]


def rate(text: str) -> float:
    """A share, given as such or in percent; typer.BadParameter where it is none.

    >>> rate("0.5%"), rate("0.005")
    (0.005, 0.005)
    """
    try:
        value = float(text.rstrip().removesuffix("%")) / (100.0 if "%" in text else 1.0)
    except ValueError:
        value = -1.0
    if not 0.0 < value < 1.0:
        raise typer.BadParameter(f"{text}: give a share such as 0.5% or 0.005.")
    return value


Seed = Annotated[int, typer.Option(min=0, help="The same seed gives the same result.")]


def need_torch() -> None:
    """FlawmapError where training cannot be done."""
    if find_spec("torch") is None:
        raise FlawmapError("Training needs torch: pip install 'flawmap[train]'")
