"""The only place that imports timm, and what makes that possible beside a CPU build of torch."""

from __future__ import annotations

import contextlib
import functools
import importlib
from types import ModuleType

import torch

from flawmap.errors import FlawmapError

_OPERATORS = ("nms", "qnms")  # without them torchvision refuses to be imported
_SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


@functools.cache
def timm() -> ModuleType:
    """Import timm; FlawmapError, naming the extra, if it is not installed."""
    _define_missing_operators()
    try:
        return importlib.import_module("timm")
    except ImportError as error:
        raise FlawmapError(
            f"Teachers of timm need it ({error}): pip install 'flawmap[backbones]'"
        ) from error


def _define_missing_operators() -> None:
    """Declare torchvision's operators if its binary does not fit this build of torch.

    timm imports torchvision, but a backbone runs none of its operators.
    """
    with contextlib.suppress(ImportError, RuntimeError):
        importlib.import_module("torchvision")
        return
    if not hasattr(torch.ops.torchvision, _OPERATORS[0]):
        for name in _OPERATORS:
            _declarations().define(name + _SIGNATURE)  # type: ignore[no-untyped-call]


@functools.cache
def _declarations() -> torch.library.Library:
    # kept by the cache: the operators are declared while it lives
    return torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
