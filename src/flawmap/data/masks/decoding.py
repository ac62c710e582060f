"""Decoding of masks: ground truth, regions of interest and regions to ignore."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flawmap.data.image_io.images import (
    MAX_BYTES,
    MAX_PIXELS,
    ImageError,
    Source,
    decode_image,
    decoding,
    read_file,
    resized,
    source_name,
)
from flawmap.data.masks.annotations import AnnotatedImage, draw_annotations
from flawmap.data.masks.layers import layer_share
from flawmap.types import Size

CheckSize = Callable[[tuple[int, int]], None]


def read_mask(
    source: Source | AnnotatedImage,
    size: Size | None,
    *,
    image_size: Size | None = None,
    name: str | None = None,
    plain: bool = False,
) -> NDArray[np.uint8]:
    """Decode a mask and resize it to `size`, (height, width); None for its own size.

    See `layer_share` for the supported encodings, `marked_share` for the rule. The marked share of
    each pixel is resized bilinearly with antialiasing, as in the literature; the result is 1 where
    at least half is marked.

    `image_size`, if given, is the (height, width) of the image that the mask belongs to;
    annotations are drawn at this size, else at the size that their file states. Without it, a mask
    file too small for its number of pixels is refused, unless it may be `plain`.
    Returns uint8 {0, 1} of `size`. Raises `ImageError`, also for a mask of another size.
    """
    if isinstance(source, AnnotatedImage):
        name = name or str(source)
        share = draw_annotations(source, image_size).astype(np.float32)
    else:
        name = name or source_name(source)
        share = _read_share(source, name, image_size, _any_size if plain else None)
    with decoding(name):
        if size is not None and share.shape != tuple(size):
            share = np.asarray(resized(Image.fromarray(share), size))
        return (share >= 0.5).astype(np.uint8)


def marks_anything(source: Source) -> bool:
    """Whether `read_mask` marks any pixel, for data sets whose labels are their masks.

    Raises `ImageError` if it cannot be read.
    """
    return bool((_read_share(source, source_name(source)) >= 0.5).any())


def _read_share(
    source: Source, name: str, image_size: Size | None = None, check: CheckSize | None = None
) -> NDArray[np.float32]:
    """Return how far each pixel of a mask is marked, 0..1."""
    data = source if isinstance(source, bytes) else read_file(source)
    if image_size is not None:
        check = _size_check(image_size, name)
    image, _ = decode_image(data, name, MAX_BYTES, MAX_PIXELS, check)
    with decoding(name):
        _check_mask_size((image.height, image.width), image_size, name)
        if image.mode == "F" and not np.isfinite(np.asarray(image)).all():
            raise ImageError(f"{name}: holds values that are not numbers; save it again")
        return layer_share(image, lossy=_is_lossy(data, image))


def _is_lossy(data: bytes, image: Image.Image) -> bool:
    """Whether the file's compression leaves noise beside edges."""
    webp = data.startswith(b"RIFF") and b"VP8 " in data[:64]
    return data.startswith(b"\xff\xd8\xff") or webp or image.info.get("compression") == "jpeg"


def _any_size(size: tuple[int, int]) -> None:
    """Accept every size that `decode_image` allows."""


def _size_check(image_size: Size, name: str) -> CheckSize:
    """Return a check of a mask's stored (width, height), which may still be rotated by 90 degrees.

    A mask of its image's size may hold any number of pixels in any number of bytes.
    """
    return lambda size: _check_mask_size(_like(size[::-1], image_size), image_size, name)


def _check_mask_size(shape: Size, image_size: Size | None, name: str) -> None:
    if image_size is not None and shape != tuple(image_size):
        raise ImageError(
            f"{name}: mask of another size than its image (mask {_extent(shape)}, image "
            f"{_extent(image_size)}); draw it on the image itself, or remove it"
        )


def _like(shape: Size, other: Size) -> Size:
    """Return the shape, with its sides swapped if that makes it equal to the other."""
    return shape[::-1] if shape[::-1] == tuple(other) else shape


def _extent(shape: Size) -> str:
    return f"{shape[1]} x {shape[0]}"
