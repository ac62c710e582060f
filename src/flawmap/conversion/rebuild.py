"""A trained inspector as torch's network again, from its weights and its manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load

from flawmap.backends.base import Backend, Found, Images
from flawmap.conversion.onnx import InferenceGraph, inference_graph
from flawmap.errors import FlawmapError
from flawmap.inspector.graphs import read_checked
from flawmap.inspector.manifest import WEIGHTS, Manifest
from flawmap.methods.registry import METHODS, find_preset
from flawmap.teachers.weights import load_teacher
from flawmap.training.device import choose_device, forbid_tf32


class TorchBackend(Backend):
    """The network that the graph was exported from, norms not folded.

    ``device``: ``cpu`` or ``cuda``. ``threads``: of the processor, for all that torch does in this
    process. Raises FlawmapError where the device is not there.
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
        self._graph = rebuild(folder, manifest).to(self._device)

    @property
    def size(self) -> tuple[int, int]:
        return self._size

    def __call__(self, images: Images) -> Found:
        with torch.inference_mode():
            maps, scores, *_ = self._graph(torch.tensor(images, device=self._device))
        return maps.cpu().numpy(), scores.cpu().numpy()


def rebuild(folder: Path, manifest: Manifest, **changes: Any) -> InferenceGraph:
    """The inspector's network, in float32 on the host; ``changes`` of its configuration's read-out.

    Raises FlawmapError where its teacher is not at hand or another one, or where the weights are
    not those of its configuration.
    """
    network, source = load_teacher(manifest.teacher.name)
    if source.sha256 != manifest.teacher.sha256:
        raise FlawmapError(
            f"The teacher {manifest.teacher.name} at hand ({source.file}) is not the one that the "
            "inspector learned from."
        )
    preset = find_preset(manifest.method, manifest.preset)
    weights = read_checked(folder, WEIGHTS, manifest.files.get(WEIGHTS))
    try:
        config = type(preset).model_validate(manifest.configuration | changes)
        method = METHODS[manifest.method](network, config)
        found = method.module.load_state_dict(load(weights), strict=False)
    except (RuntimeError, SafetensorError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise FlawmapError(f"{folder / WEIGHTS} does not fit its manifest: {reason}") from error
    missing = [name for name in found.missing_keys if not name.startswith("teacher.")]
    if missing or found.unexpected_keys:
        raise FlawmapError(
            f"{folder / WEIGHTS} does not fit its manifest: "
            f"{(missing + found.unexpected_keys)[0]} is not as it should be."
        )
    return inference_graph(method.module)
