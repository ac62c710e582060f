"""Which device trains, and in which precision."""

from __future__ import annotations

import contextlib
from typing import Literal

import torch
from torch import nn

from flawmap.errors import UsageError

Precision = Literal["float32", "bf16"]
_WIDE = 256  # channels


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
    """bf16 where the processor multiplies it natively, else float32.

    Emulated bf16 is slower than float32, so the instruction set is asked, not PyTorch's
    willingness.
    """
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        native = _cpu_multiplies_bf16()
    return "bf16" if native else "float32"


def _cpu_multiplies_bf16() -> bool:
    capabilities = torch.backends.cpu.get_cpu_capability() if hasattr(torch.backends, "cpu") else ""
    if not capabilities.startswith("AVX512"):
        return False
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, check, lambda: False)() for check in checks)


def choose_layout(
    module: nn.Module, device: torch.device, precision: Precision
) -> torch.memory_format:
    """Channels last, but for wide convolutions in float32 on a CPU.

    There PyTorch's gradient of the weights is half as fast that way (256 channels at 64x64: 8
    against 18 GMAC/s on one AVX2 core); of narrow ones nothing is gained by either.
    """
    widest = max((m.in_channels for m in module.modules() if isinstance(m, nn.Conv2d)), default=0)
    if device.type == "cpu" and precision == "float32" and widest > _WIDE:
        return torch.contiguous_format
    return torch.channels_last


def autocast(
    device: torch.device, precision: Precision
) -> contextlib.AbstractContextManager[object]:
    """Context in which convolutions run in ``precision``."""
    if precision == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)
