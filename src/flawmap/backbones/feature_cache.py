"""Cache of the frozen teacher's features for good images that recur unchanged."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from flawmap.backbones.resnet import Features, ResNetTeacher

_LIMIT = 512 * 2**20  # bytes; 290 images of 256x256 with resnet18 in float32


class TeacherMemory:
    """A teacher that caches the features of images it has seen, up to ``limit`` bytes.

    Features are bit-identical on every call: cached images are computed one by one, and their
    row numbers (the first that fit), not the order of arrival, decide which are cached. So a
    resumed training sees the same features as an uninterrupted one.
    """

    def __init__(self, teacher: ResNetTeacher, limit: int = _LIMIT) -> None:
        self._teacher = teacher
        self._limit = limit
        self._known: dict[int, Features] = {}

    def __call__(self, images: Tensor, rows: np.ndarray | None) -> Features:
        """Return the three stages (B, w_k, H_k, W_k) of normalised images (B, 3, H, W).

        ``rows`` (B,): the number of each image, used as cache key; None if the images were
        changed and will not recur.
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
        """Return how many images' features fit in the limit, in float32."""
        height, width = images.shape[-2:]
        cells = sum(w / 4 ** (k + 2) for k, w in enumerate(self._teacher.widths))
        return int(self._limit / (4 * cells * height * width))
