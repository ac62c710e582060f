"""Reading images as RGB, resizing and writing them; ``decoding.py`` does the decoding."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flawmap.data.image_io.decoding import (
    MAX_BYTES,
    MAX_PIXELS,
    Decoded,
    ImageError,
    Source,
    check_range,
    declared_pixels,
    decode,
    decode_image,
    decoding,
    is_wide,
    read_file,
    source_name,
)
from flawmap.data.image_io.notes import Kind, note
from flawmap.data.image_io.orientation import exif_orientation
from flawmap.data.image_io.resizing import resized
from flawmap.data.image_io.white_level import FULL_16, lowest_white, to_bytes
from flawmap.errors import UsageError
from flawmap.utils.files import replacing

__all__ = [  # includes the names from decoding that belong to reading
    "IMAGE_SUFFIXES", "MAX_BYTES", "MAX_PIXELS", "ImageError", "Source", "as_rgb", "check_range",
    "declared_pixels", "decode_image", "decoding", "encode_jpeg", "encode_png", "exif_orientation",
    "is_image_name", "is_wide", "read_file", "read_image", "read_scaled", "resize_image", "resized",
    "rgb_pixels", "source_name", "write_png",
]  # fmt: skip

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})
WhiteLevel = int | Literal["guess"] | None
_STRIP = 2**20  # pixels converted to RGB at once


def is_image_name(path: str | os.PathLike[str]) -> bool:
    """Whether the name has an image suffix, in upper or lower case."""
    return Path(path).suffix.lower() in IMAGE_SUFFIXES


def read_image(
    source: Source,
    *,
    name: str | None = None,
    max_bytes: int = MAX_BYTES,
    max_pixels: int = MAX_PIXELS,
    white_level: WhiteLevel = "guess",
) -> NDArray[np.uint8]:
    """Decode a file, or its bytes, to RGB.

    PNG, JPEG, BMP, TIFF or WebP, recognised by content and not by name; of several pages the first,
    rotated upright by its EXIF orientation. Colour profiles are not applied.

    - Alpha is dropped and the stored colour kept: cameras' four-channel files often hold a
      meaningless alpha of 0, and blending would blank the part and hide its defects.
    - 16-bit values are scaled so that `white_level` becomes 255; higher ones become 255, too. A
      run keeps its white level so that its images stay comparable. None takes it from the file's
      tags, else 65535; "guess", for a single image, from the tags, else from the highest value:
      the smallest of 255, 1023, 4095 and 16383 that holds it, else 65535.
    - Values of 9 to 15 bits have the full scale stated in the file's header. 32-bit integers count
      as 16-bit values and must fit.
    - Floating-point values must be finite and within 0..1, which becomes 0..255.

    `name` is the image's name in messages; the path by default.
    Returns uint8 (H, W, 3). Raises `ImageError`. Safe to call from several threads.
    """
    name = name or source_name(source)
    found = decode(source, name, max_bytes, max_pixels)
    with decoding(name):
        if isinstance(found.pixels, Image.Image):
            return rgb_pixels(found.pixels)
        return _three(_bytes(found, white_level, name))


def read_scaled(
    source: Source,
    scale: Callable[[tuple[int, int]], tuple[int, int]],
    white_level: WhiteLevel = "guess",
    *,
    name: str | None = None,
) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Combine `read_image` and `resize_image` with fewer copies in between.

    `scale` maps an image's (height, width) to the wanted size. `name` is the image's name in
    messages; the path by default. Returns uint8 (h, w, 3) of that size, and the image's own size.
    Raises `ImageError`.
    """
    name = name or source_name(source)
    found = decode(source, name)
    own = found.size
    size = scale(own)
    with decoding(name):
        image = found.pixels
        if not isinstance(image, Image.Image):
            values = _bytes(found, white_level, name)
            if size == own:
                return _three(values), own
            return _three(np.array(resized(values, size))), own
        if size == own:
            return rgb_pixels(image), own
        if image.mode == "L":  # resizing one channel is faster than three
            return _three(np.asarray(resized(image, size))), own
        return np.array(resized(as_rgb(image), size)), own


def highest_value(source: Source) -> tuple[int, int | None] | None:
    """Return the highest value of a 16-bit image and white by its tags; None for other images.

    Raises `ImageError`.
    """
    found = decode(source, source_name(source))
    if isinstance(found.pixels, Image.Image) or found.full_scale != FULL_16:
        return None
    return int(found.pixels.max()), found.tagged


def _three(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Convert grey or RGB to C-contiguous RGB."""
    if values.ndim == 3:
        return np.ascontiguousarray(values)
    return np.repeat(values[:, :, None], 3, axis=2)


def _bytes(found: Decoded, white_level: WhiteLevel, name: str) -> NDArray[np.uint8]:
    values, full = np.asarray(found.pixels), found.full_scale
    if values.dtype == np.uint8:
        return values
    check_range(values, full, name)
    if full == 1:
        return np.rint(values * 255.0).astype(np.uint8)
    if full != FULL_16:
        return to_bytes(values, full)
    return to_bytes(values, white_for(int(values.max()), white_level, found.tagged, name))


def white_for(
    highest: int, white_level: WhiteLevel, tagged: int | None = None, name: str | None = None
) -> int:
    """Return the white of a 16-bit image whose maximum is `highest`; add a note if it is in doubt.

    `tagged`: white by the file's tags, used if `white_level` is not a number.
    """
    given = white_level if isinstance(white_level, int) else tagged
    if given is not None:
        if highest > given:
            note(Kind.CLIPPED, name, highest=highest, white=given)
        return given
    likely = lowest_white(highest)
    if likely == FULL_16:
        return FULL_16
    guessing = white_level == "guess"
    note(Kind.GUESSED if guessing else Kind.DARK, name, highest=highest)
    return likely if guessing else FULL_16


def as_rgb(image: Image.Image) -> Image.Image:
    image.info.pop("transparency", None)  # otherwise a transparent colour would be blended in
    if image.mode in ("La", "RGBa"):  # colour multiplied by alpha: only these convert from it
        image = image.convert(image.mode.upper())
    return image if image.mode == "RGB" else image.convert("RGB")


def rgb_pixels(image: Image.Image) -> NDArray[np.uint8]:
    """Convert the image to RGB in strips, so that a large one is not in memory three times."""
    width, height = image.size
    rows = max(1, _STRIP // width)
    if height <= rows:
        return np.array(as_rgb(image))
    found = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, rows):
        strip = image.crop((0, top, width, min(height, top + rows)))
        found[top : top + rows] = np.asarray(as_rgb(strip))
    return found


def resize_image(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize uint8 (H, W, 3) bilinearly to `size`, (height, width); antialiased where it shrinks.

    Returns uint8 (h, w, 3); the given array itself if it already has this size.
    """
    if image.shape[:2] == tuple(size):
        return image
    return np.array(resized(image, size))


def encode_png(array: NDArray[Any]) -> bytes:
    """Encode uint8 (H, W), uint8 (H, W, 3) or uint16 (H, W) as a lossless PNG file."""
    return _encode(array, "PNG")


def encode_jpeg(array: NDArray[np.uint8], quality: int = 90) -> bytes:
    """Encode uint8 (H, W) or (H, W, 3) as a JPEG file; `quality` 1..95."""
    if array.dtype != np.uint8:
        raise UsageError(f"JPEG holds uint8, not {array.dtype}; write a PNG")
    return _encode(array, "JPEG", quality=quality)


def write_png(path: str | os.PathLike[str], array: NDArray[Any]) -> None:
    """Write uint8 (H, W), uint8 (H, W, 3) or uint16 (H, W) as PNG, atomically.

    Raises `FlawmapError` if the folder is missing, full or not writable.
    """
    data = encode_png(array)
    with replacing(Path(path)) as temporary:
        temporary.write_bytes(data)


def _encode(array: NDArray[Any], kind: str, **options: int) -> bytes:
    colour = array.ndim == 3 and array.shape[2] == 3 and array.dtype == np.uint8
    grey = array.ndim == 2 and array.dtype in (np.uint8, np.uint16)
    if not (colour or grey) or array.size == 0:
        raise UsageError(f"cannot write {array.dtype} {array.shape} as {kind}; see encode_png")
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, kind, **options)
    return buffer.getvalue()
