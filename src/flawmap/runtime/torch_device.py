"""Choose the torch device, and keep full float32 precision on it."""

from __future__ import annotations

import torch

from flawmap.errors import UsageError


def choose_device(name: str) -> torch.device:
    """Return the device; ``auto`` prefers CUDA. Raises UsageError if the device is unavailable."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"Unknown device {name!r}: give auto, cpu or cuda.") from error
    if device.type not in ("cpu", "cuda"):
        raise UsageError(f"Device {name!r} is not supported: give auto, cpu or cuda.")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UsageError(
            "No CUDA device is usable here: give --device cpu, or install torch for CUDA."
        )
    return device


def forbid_tf32() -> None:
    """Disable TF32 on CUDA in this process: it keeps only 10 of float32's 23 mantissa bits.

    torch allows it for convolutions by default, which changes a map by more than parity's 1e-4.
    """
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
