"""A stand-in for a GPU that shows where a step would make the host wait for it.

Tensors on torch's ``meta`` device have no values, so whatever reads one fails by itself. The mode
below also refuses what meta allows and a GPU does by waiting: uploads of ordinary memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

META = torch.device("meta")
_READS = {"_local_scalar_dense", "item", "is_nonzero", "nonzero", "masked_select", "unique"}
_READS |= {"_unique2", "unique_consecutive", "equal", "repeat_interleave"}


class WaitsError(AssertionError):
    """An operation would make the host wait for the device."""


def _on_meta(value: object) -> bool:
    return isinstance(value, torch.Tensor) and value.device == META


@contextmanager
def no_waiting() -> Iterator[None]:
    """Fail on reads of the device's values, and on uploads that are not queued."""
    with _NoTensorsOfLists(), _NoWaiting():
        yield


class _NoTensorsOfLists(TorchFunctionMode):
    """``torch.tensor(..., device=...)`` uploads too, but shows no operation of it on meta."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        makes = func in (torch.tensor, torch.as_tensor, torch.asarray)
        if makes and torch.device(kwargs.get("device") or "cpu") == META:
            raise WaitsError(f"{func.__name__} uploads from ordinary memory")
        return func(*args, **kwargs)


class _NoWaiting(TorchDispatchMode):
    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        there = any(_on_meta(x) for x in args)
        if name in _READS and there:
            raise WaitsError(f"{func} reads the device")
        if name == "index" and any(_is_mask(x) for x in args[1]):
            raise WaitsError("an index by a mask has as many results as the device finds")
        uploads = name == "_to_copy" and kwargs.get("device") == META and not there
        if uploads and not kwargs.get("non_blocking"):
            raise WaitsError("a blocking upload")
        if name == "copy_" and there and args[1].device != META and not _queued(args, kwargs):
            raise WaitsError("a blocking upload by copy_")
        return func(*args, **kwargs)


def _is_mask(index: object) -> bool:
    return isinstance(index, torch.Tensor) and index.dtype in (torch.bool, torch.uint8)


def _queued(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    return bool(args[2] if len(args) > 2 else kwargs.get("non_blocking"))
