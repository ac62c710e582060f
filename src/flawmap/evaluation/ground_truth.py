"""Ground-truth mask of a sample at the size of an anomaly map."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from flawmap.data.layouts import Sample
from flawmap.data.layouts.shared.kinds import mask_files
from flawmap.data.masks.decoding import read_mask


def sample_mask(
    sample: Sample, size: tuple[int, int], image_size: tuple[int, int]
) -> NDArray[np.uint8] | None:
    """Ground-truth mask (h, w) at the map's size; None without one. Raises like read_mask."""
    masks = [read_mask(path, size, image_size=image_size) for path in mask_files(sample)]
    return np.maximum.reduce(masks) if masks else None
