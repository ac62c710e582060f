"""Decoded images as the training device reads them: kept on it if they fit, else uploaded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from flawmap.synthesis.upload import pinned, upload

_SHARE = 0.25  # of the device's free memory: the rest is the networks'
_ROWS_AT_ONCE = 256


@dataclass(frozen=True)
class Bank:
    """uint8 images (N, H, W, 3) on the host, and a copy of them on the device or None."""

    array: np.ndarray
    device: torch.device
    kept: Tensor | None

    @classmethod
    def of(cls, array: np.ndarray, device: torch.device, room: int) -> Bank:
        """Keep a copy on the device if it takes at most ``room`` bytes."""
        fits = 0 < array.nbytes <= room
        return cls(array, device, _copied(array, device) if fits else None)

    @property
    def kept_bytes(self) -> int:
        """Bytes on the device."""
        return 0 if self.kept is None else self.kept.nbytes

    def read(self, rows: np.ndarray) -> Tensor:
        """Return what the device needs of these rows, on the host: their numbers or pixels."""
        return pinned(rows if self.kept is not None else self.array[rows], self.device)

    def load(self, read: Tensor) -> Tensor:
        """Turn the result of :meth:`read` into images (B, 3, H, W) in 0..1 on the device."""
        there = read.to(self.device, non_blocking=True)
        return as_images(there if self.kept is None else self.kept.index_select(0, there))


def as_images(pixels: Tensor) -> Tensor:
    """Convert uint8 (B, H, W, 3) to float (B, 3, H, W) in 0..1."""
    return pixels.permute(0, 3, 1, 2).float() / 255.0


def room_on(device: torch.device) -> int:
    """Return the bytes of a device that images may take; 0 on a CPU, which has them already."""
    if device.type != "cuda":
        return 0
    return int(_SHARE * torch.cuda.mem_get_info(device)[0])


def _copied(array: np.ndarray, device: torch.device) -> Tensor:
    """Copy rows to the device a few at a time, as ``array`` may be a file's memory map."""
    kept = torch.empty(array.shape, dtype=torch.uint8, device=device)
    for start in range(0, len(array), _ROWS_AT_ONCE):
        some = slice(start, start + _ROWS_AT_ONCE)
        kept[some] = upload(np.array(array[some]), device)
    return kept
