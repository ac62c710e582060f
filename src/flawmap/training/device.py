"""Which device trains, in which precision, and how exactly.

This is the one place that sets what torch may do with numbers; the backends hold to the same.
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
    """What was asked for; for ``auto`` bf16 where the processor multiplies it, else float32.

    Emulated bf16 is slower than float32, so the instruction set is asked, not PyTorch's
    willingness.
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
    """On CUDA: no TF32, and kernels that give the same bits again, where torch has them.

    Where it has none it warns, naming the operation. A CPU's kernels do so as they are, for one
    number of threads. Settings are as before when the block ends.
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
    memory.fill_uninitialized_memory = False  # it costs time, and finds bugs
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
