"""Which device trains, and in which precision."""

from __future__ import annotations

import contextlib
from typing import Literal

import torch

from flawmap.errors import UsageError

Precision = Literal["float32", "bfloat16"]


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


def choose_precision(device: torch.device) -> Precision:
    """bfloat16 where the processor multiplies it natively, else float32.

    Emulated bfloat16 is slower than float32, so the instruction set is asked, not PyTorch's
    willingness.
    """
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        native = _cpu_multiplies_bf16()
    return "bfloat16" if native else "float32"


def _cpu_multiplies_bf16() -> bool:
    capabilities = torch.backends.cpu.get_cpu_capability() if hasattr(torch.backends, "cpu") else ""
    if not capabilities.startswith("AVX512"):
        return False
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, check, lambda: False)() for check in checks)


def autocast(
    device: torch.device, precision: Precision
) -> contextlib.AbstractContextManager[object]:
    """Context in which convolutions run in ``precision``."""
    if precision == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)
