"""What a training step sees: good images, the same corrupted, and where they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Good images, the same corrupted, and where: (B, 3, H, W) twice in 0..1, (B, 1, H, W)."""

    clean: Tensor
    corrupted: Tensor
    mask: Tensor
    rows: np.ndarray | None = None
    """Which of the good images ``clean`` are (B,), where they are just as they were read."""
