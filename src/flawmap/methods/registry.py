"""Methods by name. A new method is a folder beside this file and one line in ``METHODS``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flawmap.errors import UsageError
from flawmap.methods.base import Method
from flawmap.methods.destseg.config import PRESETS as DESTSEG_PRESETS
from flawmap.methods.destseg.config import DestsegConfig
from flawmap.methods.destseg.method import DestsegMethod
from flawmap.teachers.resnet import ResNetTeacher


@dataclass(frozen=True)
class MethodEntry:
    """A method's presets, and how it is built from one."""

    presets: Mapping[str, DestsegConfig]
    build: Callable[[ResNetTeacher, Any], Method]


METHODS = {"destseg": MethodEntry(DESTSEG_PRESETS, DestsegMethod)}


def find_preset(method: str, preset: str) -> DestsegConfig:
    """Configuration of a method's preset; UsageError that lists the names where there is none."""
    if method not in METHODS:
        raise UsageError(f"No method {method!r}: choose one of {', '.join(METHODS)}.")
    presets = METHODS[method].presets
    if preset not in presets:
        raise UsageError(f"{method} has no preset {preset!r}: choose one of {', '.join(presets)}.")
    return presets[preset]
