"""Decoding of masks: ground truth, regions of interest and regions to ignore."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flawmap.images import (
    MAX_BYTES,
    MAX_PIXELS,
    ImageError,
    Source,
    as_rgb,
    check_range,
    decode_image,
    decoding,
    is_wide,
    resized,
    rgb_pixels,
    source_name,
)

_MASK_LABELS = 4  # a mask with more levels than this is antialiased or was stored as JPEG


def read_mask(
    source: Source,
    size: tuple[int, int] | None,
    *,
    image_size: tuple[int, int] | None = None,
    name: str | None = None,
) -> NDArray[np.uint8]:
    """Decode a ground-truth mask and bring it to `size`, (height, width); None for its own.

    A mask of few levels (0/255, 0/1, 0/1/255, class numbers) marks everything above 0; one of many
    levels (antialiased, JPEG) is a share of its full scale. Resized bilinearly with antialiasing,
    as the literature does, then 1 where at least half is marked.

    `image_size`, where given, is the (height, width) of the image that the mask belongs to.
    Returns uint8 {0, 1} of `size`. Raises `ImageError`, also for a mask of another size.
    """
    name = name or source_name(source)
    check = None if image_size is None else _size_check(image_size, name)
    image, full_scale = decode_image(source, name, MAX_BYTES, MAX_PIXELS, check)
    with decoding(name):
        values = np.asarray(image) if is_wide(image) else rgb_pixels(image).max(axis=2)
        _check_mask_size(values.shape, image_size, name)
        marked = _marked_share(values, full_scale, name)
        if size is not None and marked.shape != tuple(size):
            marked = np.asarray(resized(Image.fromarray(marked), size))
        return (marked >= 0.5).astype(np.uint8)


def marks_anything(source: Source) -> bool:
    """Whether a mask has a pixel above 0, for data sets whose labels are their masks.

    Raises `ImageError` where it cannot be read.
    """
    name = source_name(source)
    image, _ = decode_image(source, name, MAX_BYTES, MAX_PIXELS)
    with decoding(name):
        if image.mode not in ("1", "L", "I;16"):
            return bool(np.asarray(as_rgb(image)).any())
        _, highest = image.getextrema()
        return bool(highest)


def _size_check(image_size: tuple[int, int], name: str) -> Callable[[tuple[int, int]], None]:
    """A check of a mask's stored (width, height), which may still be turned a quarter.

    A mask of its image's size may hold as many pixels in as few bytes as it likes.
    """
    return lambda size: _check_mask_size(_like(size[::-1], image_size), image_size, name)


def _marked_share(values: NDArray[Any], full: int, name: str) -> NDArray[np.float32]:
    """How far each pixel of a mask is marked, 0..1."""
    if len(np.unique(values)) <= _MASK_LABELS:
        return (values > 0).astype(np.float32)
    check_range(values, full, name)
    share: NDArray[np.float32] = (values / full).astype(np.float32)
    return share


def _check_mask_size(shape: tuple[int, ...], image_size: tuple[int, int] | None, name: str) -> None:
    if image_size is not None and shape != tuple(image_size):
        raise ImageError(
            f"{name}: mask of another size than its image (mask {_extent(shape)}, image "
            f"{_extent(image_size)}); draw it on the image itself, or remove it"
        )


def _like(shape: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    """The shape, turned by a quarter if that makes it the other."""
    return shape[::-1] if shape[::-1] == tuple(other) else shape


def _extent(shape: tuple[int, ...]) -> str:
    return f"{shape[1]} x {shape[0]}"
