"""Cache of the frozen backbone's features for good images that recur unchanged."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from flawmap.backbones.base import Backbone
from flawmap.backbones.features import Features

_LIMIT = 512 * 2**20  # bytes; 290 images of 256x256 with resnet18 in float32


class FeatureCache:
    """A backbone that caches the features of images, up to ``limit`` bytes.

    Features are bit-identical on every call: cached images are computed one by one, and their
    row numbers (the first that fit), not the order of arrival, decide which are cached. So a
    resumed training uses the same features as an uninterrupted one.
    """

    def __init__(self, backbone: Backbone, limit: int = _LIMIT) -> None:
        self._backbone = backbone
        self._limit = limit
        self._known: dict[int, Features] = {}

    def __call__(self, images: Tensor, rows: np.ndarray | None) -> Features:
        """Return the levels (B, c_k, H_k, W_k) of normalised images (B, 3, H, W).

        ``rows`` (B,): the number of each image, used as cache key; None if the images were
        changed and will not recur.
        """
        with torch.no_grad():
            if rows is None or (rows >= self._capacity(images)).any():
                return self._backbone(images)  # type: ignore[no-any-return]
            for i, row in enumerate(rows.tolist()):
                if row not in self._known:
                    self._known[row] = self._backbone(images[i : i + 1])
        cached = [self._known[row] for row in rows.tolist()]
        return tuple(torch.cat(level) for level in zip(*cached, strict=True))

    def _capacity(self, images: Tensor) -> int:
        """Return how many images' features fit in the limit, in float32."""
        height, width = images.shape[-2:]
        levels = zip(self._backbone.channels, self._backbone.strides, strict=True)
        per_pixel = sum(channels / stride**2 for channels, stride in levels)
        return int(self._limit / (4 * per_pixel * height * width))
