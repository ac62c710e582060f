"""Host numbers to the training device without waiting for it.

A plain ``.to("cuda")`` or ``torch.tensor(..., device="cuda")`` of ordinary memory makes the host
wait until the device has done all earlier work. A copy from pinned memory is queued like any other
work; torch keeps the memory until the copy is done.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def pinned(values: np.ndarray, device: torch.device) -> Tensor:
    """Return host values as a tensor that ``device`` can copy from while the host goes on.

    On CUDA the values are copied to pinned memory; a CPU shares them.
    """
    host = torch.from_numpy(np.ascontiguousarray(values))
    return host.pin_memory() if device.type == "cuda" else host


def upload(values: np.ndarray, device: torch.device) -> Tensor:
    """Copy host values to ``device``; the host does not wait for it."""
    return pinned(values, device).to(device, non_blocking=True)
