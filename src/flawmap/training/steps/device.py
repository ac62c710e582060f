"""Precision, determinism and memory layout of training on a device.

This is the only place that sets torch's numeric options; the backends follow the same rules.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from flawmap.types import Precision, PrecisionChoice

_WIDE = 256  # channels


def choose_precision(device: torch.device, asked: PrecisionChoice = "auto") -> Precision:
    """Return the precision asked for; for ``auto``, bf16 if the hardware multiplies it.

    Else float32: emulated bf16 is slower, so the instruction set decides, not PyTorch's support.
    """
    if asked != "auto":
        return asked
    return "bf16" if multiplies_bf16(device) else "float32"


def multiplies_bf16(device: torch.device) -> bool:
    """Whether a device has instructions for bf16."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return _cpu_multiplies_bf16()


@contextlib.contextmanager
def exact(device: torch.device) -> Iterator[None]:
    """On CUDA, disable TF32 and use deterministic kernels where torch has them.

    Where torch has none, it warns and names the operation. CPU kernels are deterministic anyway,
    for a fixed number of threads. The previous settings are restored after the block.
    """
    if device.type != "cuda":
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS reads it at its start
    memory: Any = torch.utils.deterministic
    before = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        memory.fill_uninitialized_memory,
        torch.backends.cuda.matmul.allow_tf32,
    )
    torch.use_deterministic_algorithms(True, warn_only=True)
    memory.fill_uninitialized_memory = False  # it costs time and only serves to find bugs
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        with torch.backends.cudnn.flags(
            enabled=True, benchmark=False, deterministic=True, allow_tf32=False
        ):
            yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        memory.fill_uninitialized_memory = before[2]
        torch.backends.cuda.matmul.allow_tf32 = before[3]


def _cpu_multiplies_bf16() -> bool:
    capabilities = torch.backends.cpu.get_cpu_capability() if hasattr(torch.backends, "cpu") else ""
    if not capabilities.startswith("AVX512"):
        return False
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, check, lambda: False)() for check in checks)


def choose_layout(
    module: nn.Module, device: torch.device, precision: Precision
) -> torch.memory_format:
    """Choose channels last, except for wide convolutions in float32 on a CPU.

    There, channels last halves the speed of PyTorch's weight gradient (256 channels at 64x64: 8
    against 18 GMAC/s on one AVX2 core); for narrow convolutions the layout makes no difference.
    """
    widest = max((m.in_channels for m in module.modules() if isinstance(m, nn.Conv2d)), default=0)
    if device.type == "cpu" and precision == "float32" and widest > _WIDE:
        return torch.contiguous_format
    return torch.channels_last


def autocast(
    device: torch.device, precision: Precision
) -> contextlib.AbstractContextManager[object]:
    """Return a context in which convolutions run in ``precision``."""
    if precision == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)
