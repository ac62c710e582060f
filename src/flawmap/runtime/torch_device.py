"""The device that torch computes on, and float32 that is float32 there."""

from __future__ import annotations

import torch

from flawmap.errors import UsageError


def choose_device(name: str) -> torch.device:
    """``auto`` takes CUDA where there is one; UsageError for a device that is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"No device {name!r}: give auto, cpu or cuda.") from error
    if device.type not in ("cpu", "cuda"):
        raise UsageError(f"Device {name!r} is not supported: give auto, cpu or cuda.")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UsageError(
            "No CUDA device is usable here: give --device cpu, or install CUDA's torch."
        )
    return device


def forbid_tf32() -> None:
    """Let float32 on CUDA be float32, in this process: TF32 keeps 10 of its 23 bits.

    torch allows it to convolutions by default, which moves a map by more than parity's 1e-4.
    """
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
