"""Loaders of a backbone, and the record of its weights."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from safetensors.torch import save as save_safetensors
from torch import Tensor

from flawmap.backbones.base import Backbone


@dataclass(frozen=True)
class TeacherSource:
    """Record of the loaded weights, for the manifest."""

    name: str
    file: str
    """Name of the weights file; empty if there is none."""
    sha256: str
    """SHA-256 of that file, or of the weights."""
    backbone: str | None = None
    """Registered name of the backbone; None for a ResNet from a weights file."""

    @classmethod
    def of(cls, name: str, backbone: Backbone, file: str = "") -> TeacherSource:
        """Describe a backbone by the digest of its weights."""
        weights = {key: value.contiguous() for key, value in backbone.state_dict().items()}
        return cls(name, file, hashlib.sha256(save_safetensors(weights)).hexdigest())


@dataclass(frozen=True)
class Provider:
    """Two loaders of a backbone: with its own weights, or with those stored in a run."""

    load: Callable[[str], tuple[Backbone, TeacherSource]]
    """Load the backbone of a name with its weights; FlawmapError if it is not available."""
    rebuild: Callable[[dict[str, Tensor]], Backbone]
    """Build the backbone from its state dict alone; FlawmapError or RuntimeError if that fails."""
