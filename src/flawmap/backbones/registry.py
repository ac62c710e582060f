"""Backbones by name. A new backbone is a file beside this one and one line in ``BACKBONES``."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from flawmap.backbones.base import Backbone
from flawmap.backbones.provider import Provider, TeacherSource
from flawmap.backbones.weights import RESNET, TEACHERS
from flawmap.errors import UsageError

BACKBONES: dict[str, Provider] = {
    **dict.fromkeys(TEACHERS, RESNET),
}


def load_backbone(spec: str | os.PathLike[str]) -> tuple[Backbone, TeacherSource]:
    """Load a frozen backbone by name (``BACKBONES``) or a ResNet from a weights file.

    Raises FlawmapError or UsageError if it is not available.
    """
    name = str(spec)
    if name in BACKBONES:
        backbone, source = BACKBONES[name].load(name)
        return backbone, replace(source, backbone=name)
    if not Path(name).is_file():
        names = ", ".join(BACKBONES)
        raise UsageError(f"Unknown teacher or weights file {name!r}: give a file, or {names}.")
    return RESNET.load(name)


def rebuild_backbone(name: str | None, state: dict[str, Tensor]) -> Backbone:
    """Build a backbone from the weights in a run; ``name`` None: a ResNet from a weights file."""
    return BACKBONES.get(name or "", RESNET).rebuild(state)
