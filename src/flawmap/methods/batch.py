"""Input of a training step: good images, their corrupted versions and the masks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Good and corrupted images, both (B, 3, H, W) in 0..1, and masks (B, 1, H, W)."""

    clean: Tensor
    corrupted: Tensor
    mask: Tensor
    rows: np.ndarray | None = None
    """Row numbers (B,) of ``clean`` among the good images; None if the images were changed."""
    real: Tensor | None = None
    """(B,) 1 where ``corrupted`` is a real defective image, which ``clean`` is not the good state
    of, else 0; None if none is."""
    marked: Tensor | None = None
    """(B,) 1 where ``mask`` is known, else 0; None if all are."""
