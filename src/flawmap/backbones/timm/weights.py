"""Where the weights of a timm network come from: a file, a folder, or the hub and its cache."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load as load_safetensors
from torch import Tensor

from flawmap.backbones.base import UNKNOWN_LICENCE
from flawmap.backbones.timm.library import timm
from flawmap.backbones.timm.network import PREFIX
from flawmap.errors import FlawmapError, UsageError

_SUFFIX = ".safetensors"
_HUB_FILE = "model.safetensors"


@dataclass(frozen=True)
class Weights:
    """Weights in timm's layout, without a classifier, and their origin."""

    tensors: dict[str, Tensor]
    file: str
    sha256: str
    licence: str


def find_weights(name: str, file: str) -> Weights:
    """Read the weights of timm's ``name`` from ``file`` or, if empty, where they are found first.

    That is a file ``NAME.safetensors`` in the folder ``FLAWMAP_WEIGHTS``, the Hugging Face hub's
    cache, then the hub. Only safetensors are read. Raises FlawmapError or UsageError if there are
    none.
    """
    config = timm().get_pretrained_cfg(name)
    if file:
        return _read(Path(file), config, UNKNOWN_LICENCE)
    licence = UNKNOWN_LICENCE if config.license in (None, "unknown") else config.license
    path = _in_folder(name, config.tag) or _from_hub(name, config)
    return _read(path, config, licence)


def _read(path: Path, config: Any, licence: str) -> Weights:
    if path.suffix != _SUFFIX:
        raise UsageError(
            f"{path}: refused, only {_SUFFIX} files are read. Convert it and give that."
        )
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"No weights file {str(path)!r}: {error.strerror}.") from error
    try:
        tensors = dict(load_safetensors(data))
    except Exception as error:
        raise FlawmapError(f"{path.name}: not a readable weights file ({error}).") from error
    heads = tuple(f"{name}." for name in _names(config.classifier))
    kept = {key: value for key, value in tensors.items() if not key.startswith(heads)}
    return Weights(kept, path.name, hashlib.sha256(data).hexdigest(), licence)


def _names(classifier: str | tuple[str, ...] | None) -> tuple[str, ...]:
    return (classifier,) if isinstance(classifier, str) else tuple(classifier or ())


def _in_folder(name: str, tag: str) -> Path | None:
    """Return the file of these weights in FLAWMAP_WEIGHTS, named with or without their tag."""
    folder = os.environ.get("FLAWMAP_WEIGHTS")
    if not folder:
        return None
    full = name if "." in name or not tag else f"{name}.{tag}"
    paths = (Path(folder) / f"{one}{_SUFFIX}" for one in dict.fromkeys((name, full)))
    return next((path for path in paths if path.is_file()), None)


def _from_hub(name: str, config: Any) -> Path:
    if not config.hf_hub_id:
        raise FlawmapError(_nowhere(name, "the hub has none"))
    from huggingface_hub import (
        get_hf_file_metadata,
        hf_hub_download,
        hf_hub_url,
        try_to_load_from_cache,
    )

    place = (config.hf_hub_id, _HUB_FILE)
    cached = try_to_load_from_cache(*place)
    if isinstance(cached, str):
        return Path(cached)
    try:
        get_hf_file_metadata(hf_hub_url(*place))  # without a network this fails now, not in 23 s
        return Path(hf_hub_download(*place))
    except Exception as error:  # of the hub, of its HTTP client or of the disk
        why = (str(error).strip() or type(error).__name__).splitlines()[0]
        why = f"not in the hub's cache, and the download of {config.hf_hub_id} failed ({why})"
        raise FlawmapError(_nowhere(name, why)) from error


def _nowhere(name: str, why: str) -> str:
    return (
        f"No weights for {PREFIX}{name}: {why}.\nGive {PREFIX}{name}@FILE{_SUFFIX}, or put "
        f"{name}{_SUFFIX} into the folder named by FLAWMAP_WEIGHTS "
        f"({os.environ.get('FLAWMAP_WEIGHTS') or 'not set'})."
    )
