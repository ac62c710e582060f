"""Random numbers drawn on the host, used on the device."""

from __future__ import annotations

import copy
import math

import numpy as np
import torch
from torch import Tensor

from flawmap.synthesis.upload import upload


class Dice:
    """Dispenses columns of ``numbers`` (B, K) in 0..1, each once, as tensors (B, 1, 1, 1).

    Numbers that decide what is computed at all stay on the host, to avoid useless work.
    """

    def __init__(self, numbers: np.ndarray, device: torch.device) -> None:
        self._device = device
        self._host = list(numbers.T)
        self._columns = list(self.to(numbers)[..., None, None, None].unbind(1))

    def to(self, values: np.ndarray) -> Tensor:
        """Copy host numbers to the device."""
        return upload(values, self._device)

    def reserve(self, count: int) -> Dice:
        """Reserve ``count`` columns for an optional step; the other steps' numbers stay the same.

        So a sample does not depend on the operations on its neighbours.
        """
        apart = copy.copy(self)
        apart._host, self._host = self._host[:count], self._host[count:]
        apart._columns, self._columns = self._columns[:count], self._columns[count:]
        return apart

    def host(self) -> np.ndarray:
        """Return numbers (B,) in 0..1 on the host, for decisions."""
        self._columns.pop(0)
        decided: np.ndarray = self._host.pop(0)
        return decided

    def weight(self, decided: np.ndarray) -> Tensor:
        """Convert a host decision, (B,) bool, to 0 or 1 on the device."""
        return self.to(decided.astype(np.float32))[:, None, None, None]

    def uniform(self, low: float | Tensor, high: float | Tensor) -> Tensor:
        """Draw numbers between ``low`` and ``high``."""
        self._host.pop(0)
        return low + (high - low) * self._columns.pop(0)

    def log_uniform(self, low: float, high: float | Tensor) -> Tensor:
        """Draw log-uniform numbers between ``low`` and ``high``, both above 0."""
        top = high.clamp(min=low).log() if isinstance(high, Tensor) else math.log(high)
        return self.uniform(math.log(low), top).exp()

    def chance(self, share: float) -> Tensor:
        """True for ``share`` of the samples, bool."""
        return self.uniform(0, 1) < share

    def sign(self) -> Tensor:
        """Either -1 or 1."""
        return torch.where(self.chance(0.5), -1.0, 1.0)

    def angle(self) -> Tensor:
        """Draw an angle in radians over the full circle."""
        return self.uniform(0, 2 * math.pi)
