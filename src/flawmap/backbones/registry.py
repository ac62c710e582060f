"""Backbones by name. A new backbone is a file beside this one and one line in ``BACKBONES``.

A family of them, whose names share a prefix, is one line in ``FAMILIES``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from flawmap.backbones.base import Backbone
from flawmap.backbones.provider import Provider, TeacherSource
from flawmap.backbones.timm.provider import timm_provider
from flawmap.backbones.weights import RESNET, TEACHERS
from flawmap.errors import UsageError

BACKBONES: dict[str, Provider] = {
    **dict.fromkeys(TEACHERS, RESNET),
}
FAMILIES: dict[str, Callable[[str], Provider]] = {
    "timm:": timm_provider,
}


def load_backbone(spec: str | os.PathLike[str]) -> tuple[Backbone, TeacherSource]:
    """Load a frozen backbone by name (``BACKBONES``) or a ResNet from a weights file.

    Raises FlawmapError or UsageError if it is not available.
    """
    name = str(spec)
    provider = _provider(name)
    if provider is not None:
        backbone, source = provider.load(name)
        return backbone, replace(source, backbone=source.backbone or name)
    if not Path(name).is_file():
        names = ", ".join((*BACKBONES, *(f"{prefix}NAME" for prefix in FAMILIES)))
        raise UsageError(f"Unknown teacher or weights file {name!r}: give a file, or {names}.")
    return RESNET.load(name)


def rebuild_backbone(name: str | None, state: dict[str, Tensor]) -> Backbone:
    """Build a backbone from the weights in a run; ``name`` None: a ResNet from a weights file."""
    provider = None if name is None else _provider(name)
    return (provider or RESNET).rebuild(state)


def _provider(name: str) -> Provider | None:
    for prefix, family in FAMILIES.items():
        if name.startswith(prefix):
            return family(name)
    return BACKBONES.get(name)
