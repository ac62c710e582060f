"""The frozen teacher's features of good images that come again unchanged, computed once."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from flawmap.backbones.resnet import Features, ResNetTeacher

_LIMIT = 512 * 2**20  # bytes; 290 images of 256x256 with resnet18 in float32


class TeacherMemory:
    """A teacher that remembers the images it has seen, up to ``limit`` bytes of features.

    Features are the same bits whenever they are asked for: remembered images were computed one by
    one, and which are remembered is settled by their numbers (the first that fit), not by which
    came first. So a resumed training sees what an uninterrupted one does.
    """

    def __init__(self, teacher: ResNetTeacher, limit: int = _LIMIT) -> None:
        self._teacher = teacher
        self._limit = limit
        self._known: dict[int, Features] = {}

    def __call__(self, images: Tensor, rows: np.ndarray | None) -> Features:
        """Stages of normalised images (B, 3, H, W).

        ``rows`` (B,): the number of each image, by which it is known again; None where they were
        changed and will not come again.
        """
        with torch.no_grad():
            if rows is None or (rows >= self._capacity(images)).any():
                return self._teacher(images)  # type: ignore[no-any-return]
            for i, row in enumerate(rows.tolist()):
                if row not in self._known:
                    self._known[row] = self._teacher(images[i : i + 1])
        found = [self._known[row] for row in rows.tolist()]
        first, second, third = (torch.cat(stage) for stage in zip(*found, strict=True))
        return first, second, third

    def _capacity(self, images: Tensor) -> int:
        """How many images' features fit, in float32."""
        height, width = images.shape[-2:]
        cells = sum(w / 4 ** (k + 2) for k, w in enumerate(self._teacher.widths))
        return int(self._limit / (4 * cells * height * width))
