"""Checkpoints: one safetensors file each, written atomically."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor, nn

from flawmap.errors import FlawmapError
from flawmap.utils.files import sweep, write_bytes

_KEEP = 2
_PATTERN = f"step-{'[0-9]' * 8}.safetensors"
_log = logging.getLogger("flawmap")


@dataclass(frozen=True)
class Checkpoint:
    """The complete training state between two steps."""

    step: int
    tensors: dict[str, Tensor]


def learned_state(module: nn.Module) -> dict[str, Tensor]:
    """Return all weights and running statistics, except the frozen teacher's, by name."""
    return {k: v for k, v in module.state_dict().items() if not k.startswith("teacher.")}


def load_learned_state(module: nn.Module, state: dict[str, Tensor]) -> None:
    """Restore :func:`learned_state`; FlawmapError if it belongs to another network."""
    try:
        missing, unexpected = module.load_state_dict(state, strict=False)
    except RuntimeError as error:
        what = str(error).splitlines()[-1].strip()
        raise FlawmapError(f"These weights belong to another network ({what}).") from error
    missing = [name for name in missing if not name.startswith("teacher.")]
    if missing or unexpected:
        name = (missing or unexpected)[0]
        raise FlawmapError(f"These weights belong to another network ({name} does not match).")


def pack(module: nn.Module, optimisers: Sequence[torch.optim.Optimizer]) -> dict[str, Tensor]:
    """Pack the state of module and optimisers into one flat dict of contiguous CPU tensors.

    The optimisers' hyper-parameters are not included: they come from the configuration.
    """
    tensors = {f"module.{k}": v for k, v in learned_state(module).items()}
    for place, optimiser in enumerate(optimisers):
        for index, entries in optimiser.state_dict()["state"].items():
            for key, value in entries.items():
                if value is not None:  # SGD without momentum
                    tensors[f"optimiser.{place}.{index}.{key}"] = value
    return {k: v.detach().cpu().contiguous() for k, v in tensors.items()}


def unpack_module(module: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Restore the packed module state."""
    load_learned_state(module, _under(tensors, "module."))


def unpack_optimisers(
    optimisers: Sequence[torch.optim.Optimizer], tensors: dict[str, Tensor]
) -> None:
    """Restore the packed optimisers' state, each buffer in its parameter's memory layout.

    torch's own ``load_state_dict`` puts each value on the right device: a fused AdamW keeps its
    step counts on its parameters' device.
    """
    for place, optimiser in enumerate(optimisers):
        parameters = [p for group in optimiser.param_groups for p in group["params"]]
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in _under(tensors, f"optimiser.{place}.").items():
            number, key = name.split(".", 1)
            parameter = parameters[int(number)]
            if value.shape == parameter.shape:
                value = torch.empty_like(parameter, requires_grad=False).copy_(value)
            state.setdefault(int(number), {})[key] = value
        groups = optimiser.state_dict()["param_groups"]
        optimiser.load_state_dict({"state": state, "param_groups": groups})


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def save_checkpoint(folder: Path, step: int, tensors: dict[str, Tensor]) -> Path:
    """Write the checkpoint after ``step`` steps, then drop all but the newest two."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"step-{step:08d}.safetensors"
    write_bytes(path, encode_checkpoint(step, tensors))
    for old in sorted(folder.glob(_PATTERN))[:-_KEEP]:
        old.unlink(missing_ok=True)
    return path


def encode_checkpoint(step: int, tensors: dict[str, Tensor]) -> bytes:
    """Return the content of a checkpoint's file."""
    state = json.dumps({"step": step, "sha256": _digest(tensors)})
    return save_safetensors(tensors, {"state": state})


def decode_checkpoint(data: bytes) -> Checkpoint:
    """Return the checkpoint of :func:`encode_checkpoint`, fresh from another process."""
    length = int.from_bytes(data[:8], "little")
    state = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["state"])
    return Checkpoint(int(state["step"]), load_safetensors(data))


def newest_checkpoint(folder: Path) -> Checkpoint | None:
    """Return the newest intact checkpoint; damaged ones are skipped with a warning."""
    for path in sorted(folder.glob(_PATTERN), reverse=True):
        try:
            return _read(path)
        except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
            _log.warning("%s is damaged (%s); going back to the one before.", path.name, error)
    return None


def _read(path: Path) -> Checkpoint:
    with safe_open(path, framework="pt") as file:
        state = json.loads(file.metadata()["state"])
        tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
    if "sha256" in state and state["sha256"] != _digest(tensors):  # early checkpoints had none
        raise ValueError("its digest does not match")
    return Checkpoint(int(state["step"]), tensors)


def _digest(tensors: dict[str, Tensor]) -> str:
    """SHA-256 of names, types, shapes and values; safetensors itself does not check values."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def remove_checkpoints(folder: Path) -> None:
    """Delete every checkpoint, and the folder if nothing else is in it."""
    if not folder.is_dir():
        return
    for path in folder.glob(_PATTERN):
        path.unlink(missing_ok=True)
    sweep(folder)
    with contextlib.suppress(OSError):
        folder.rmdir()
