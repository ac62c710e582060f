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
Seed = Annotated[int, typer.Option(min=0, help="The same seed gives the same result.")]


def need_torch() -> None:
    """FlawmapError where training cannot be done."""
    if find_spec("torch") is None:
        raise FlawmapError("Training needs torch: pip install 'flawmap[train]'")
