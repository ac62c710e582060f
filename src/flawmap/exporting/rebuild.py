"""Rebuild the torch network of a trained inspector from its weights and manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from flawmap.backbones.base import Backbone
from flawmap.backbones.registry import rebuild_backbone
from flawmap.errors import FlawmapError
from flawmap.exporting.onnx_graph import InferenceGraph, inference_graph
from flawmap.inspection.bundle.manifest import WEIGHTS, Manifest
from flawmap.inspection.bundle.models import read_checked
from flawmap.methods.base import Method
from flawmap.methods.registry import METHODS, find_preset
from flawmap.runtime.base import Backend, Images, Outputs
from flawmap.runtime.torch_device import choose_device, forbid_tf32


class TorchBackend(Backend):
    """The torch network that the ONNX graph was exported from; its norms are not folded.

    ``device``: ``cpu`` or ``cuda``. ``threads``: number of CPU threads, for all torch work in this
    process. Raises FlawmapError if the device is not available.
    """

    name: ClassVar[str] = "torch"

    def __init__(
        self, folder: Path, manifest: Manifest, device: str = "cpu", threads: int | None = None
    ) -> None:
        self._device = choose_device(device.lower())
        if self._device.type == "cuda":
            forbid_tf32()
        if threads is not None:
            torch.set_num_threads(threads)
        self._size = manifest.preprocessing.size
        self._network = rebuild(folder, manifest).to(self._device)

    @property
    def size(self) -> tuple[int, int]:
        return self._size

    def __call__(self, images: Images) -> Outputs:
        with torch.inference_mode():
            maps, scores, *_ = self._network(torch.tensor(images, device=self._device))
        return maps.cpu().numpy(), scores.cpu().numpy()


def rebuild(folder: Path, manifest: Manifest, **changes: Any) -> InferenceGraph:
    """Rebuild the inspector's network in float32 on the CPU; see :func:`rebuild_method`."""
    return inference_graph(rebuild_method(folder, manifest, **changes).module)


def rebuild_method(folder: Path, manifest: Manifest, **changes: Any) -> Method:
    """Rebuild the inspector's method, with its weights, in float32 on the CPU.

    ``changes`` override read-out fields of its configuration. The teacher comes from the run's own
    weights. Raises FlawmapError if the weights do not match the configuration.
    """
    preset = find_preset(manifest.method, manifest.preset)
    weights = read_checked(folder, WEIGHTS, manifest.files.get(WEIGHTS))
    try:
        state = load(weights)
        config = type(preset).model_validate(manifest.configuration | changes)
        method = METHODS[manifest.method](_teacher(manifest.teacher.backbone, state), config)
        keys = method.module.load_state_dict(state, strict=False)
    except (RuntimeError, SafetensorError, ValidationError, FlawmapError) as error:
        reason = str(error).splitlines()[0]
        raise FlawmapError(f"{folder / WEIGHTS} does not fit its manifest: {reason}") from error
    if wrong := keys.missing_keys + keys.unexpected_keys:
        raise FlawmapError(
            f"{folder / WEIGHTS} does not fit its manifest: {wrong[0]} is missing or unknown."
        )
    return method


def _teacher(name: str | None, state: dict[str, Tensor]) -> Backbone:
    prefix = "teacher."
    own = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    return rebuild_backbone(name, own)
