"""Templates on disk: what one training has traced, the next one need not trace again.

They lie in ``graphs`` of the cache folder, named by a digest of the network's structure and of the
software that traced it, so a file is right or is not found. They hold no weights.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.metadata
import json
import platform
import time
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from torch import nn

import flawmap
from flawmap.backbones.weights import cache_folder
from flawmap.errors import FlawmapError
from flawmap.utils.files import make_folder, write_bytes

_PACKAGES = ("torch", "onnx", "onnxscript", "onnx-ir")
_FOLDERS = ("backbones", "exporting", "methods", "utils")
_IMPORTED = time.time()
_KNOWN = ("torch", "flawmap")  # whose code the digest of the software covers
_MOST = 64  # files of some 60 kB
_SUFFIX = ".safetensors"


@dataclass(frozen=True)
class Template:
    """A graph without the weights that it holds under their own names, and a digest of the rest."""

    graph: bytes
    named: tuple[str, ...]
    others: str


def read_template(structure: str, network: nn.Module) -> Template | None:
    """Return the template of a structure that another process kept; None if there is none.

    A damaged file counts as none.
    """
    path = _path(structure, network)
    if path is None:
        return None
    try:
        with safe_open(path, framework="numpy") as file:
            graph, about = file.get_tensor("graph").tobytes(), file.metadata() or {}
    except (OSError, SafetensorError):
        return None
    if about.get("sha256") != hashlib.sha256(graph).hexdigest():
        return None
    return Template(graph, tuple(json.loads(about["named"])), about["others"])


def write_template(structure: str, network: nn.Module, template: Template) -> None:
    """Keep a template for other processes, in place of the oldest one; a full disk keeps none."""
    path = _path(structure, network)
    if path is None:
        return
    about = {
        "sha256": hashlib.sha256(template.graph).hexdigest(),
        "named": json.dumps(template.named),
        "others": template.others,
    }
    data = save({"graph": np.frombuffer(template.graph, np.uint8)}, about)
    with contextlib.suppress(FlawmapError, OSError):
        make_folder(path.parent)
        write_bytes(path, data)
        kept = sorted(path.parent.glob(f"*{_SUFFIX}"), key=lambda one: one.stat().st_mtime)
        for old in kept[:-_MOST]:
            old.unlink(missing_ok=True)


def _path(structure: str, network: nn.Module) -> Path | None:
    """Return where a structure's template is; None if other code than the known may form it.

    None, too, if there is no home folder, as for some users in containers, if a version is unknown,
    or if the code on disk is newer than this process, which runs what was there before.
    """
    packages = {type(one).__module__.partition(".")[0] for one in network.modules()}
    if not structure or not packages <= set(_KNOWN):
        return None
    try:
        if (software := _software()) is None:
            return None
        name = hashlib.sha256(f"{structure} {software}".encode()).hexdigest()[:32]
        return cache_folder() / "graphs" / f"{name}{_SUFFIX}"
    except (FlawmapError, importlib.metadata.PackageNotFoundError):
        return None


@functools.cache
def _software() -> str | None:
    """Return a digest of all code that a traced graph depends on; None if it has just changed."""
    found = hashlib.sha256(platform.python_version().encode())
    for name in _PACKAGES:
        found.update(f"{name} {importlib.metadata.version(name)}\0".encode())
    root = Path(str(resources.files(flawmap)))
    for path in (one for name in _FOLDERS for one in sorted((root / name).rglob("*.py"))):
        if path.stat().st_mtime > _IMPORTED:
            return None
        found.update(path.read_bytes())
    return found.hexdigest()
