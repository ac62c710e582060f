"""16-bit colour and grey-with-alpha PNG, of which Pillow returns only the high bytes."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL.PngImagePlugin import PngImageFile

_IHDR = slice(24, 26)  # bit depth and colour type, in the first chunk of every PNG
_COLOURS = {b"\x10\x02": "RGB", b"\x10\x06": "RGBA"}
_GREY_ALPHA = b"\x10\x04"


def is_deep_colour(data: bytes) -> bool:
    """Whether the PNG has 16 bits per channel and more than one channel."""
    return data[_IHDR] in (*_COLOURS, _GREY_ALPHA)


def read_deep(data: bytes) -> tuple[NDArray[np.uint16], bytes]:
    """Return grey (H, W) or RGB (H, W, 3) without alpha, and the EXIF block. Raises like Pillow."""
    if data[_IHDR] == _GREY_ALPHA:
        pairs, exif = _unpacked(data, "RGBA", "RGBA")  # bytes of grey, then of alpha
        return _joined(pairs[:, :, 0], pairs[:, :, 1]), exif
    mode = _COLOURS[data[_IHDR]]
    high, exif = _unpacked(data, mode, f"{mode};16B")
    low, _ = _unpacked(data, mode, f"{mode};16L")
    return _joined(high[:, :, :3], low[:, :, :3]), exif


def _unpacked(data: bytes, mode: str, raw: str) -> tuple[NDArray[np.uint8], bytes]:
    """Decode with another raw mode than Pillow's own; return the bytes and the EXIF block."""
    image: Any = PngImageFile(io.BytesIO(data))
    image._mode = mode
    image.tile = [_tile(tile, raw) for tile in image.tile]
    image.load()
    return np.asarray(image), image.info.get("exif", b"")


def _tile(tile: Any, raw: str) -> Any:
    if hasattr(tile, "_replace"):  # a plain tuple in old versions of Pillow
        return tile._replace(args=raw)
    return (*tile[:3], raw)


def _joined(high: NDArray[np.uint8], low: NDArray[np.uint8]) -> NDArray[np.uint16]:
    joined = high.astype(np.uint16)
    joined <<= 8
    joined |= low
    return joined
