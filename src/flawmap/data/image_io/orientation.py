"""Image orientation from EXIF and TIFF tags, and rotation of images to upright."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

ORIENTATION = 0x0112  # a tag of EXIF and of TIFF
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def exif_orientation(exif: bytes) -> int:
    """Return the orientation, 1..8, of an EXIF block; 1 if it states none or an invalid one.

    Pillow's ``Image.getexif`` does not serve: it decodes a whole PNG whose EXIF may follow the
    pixels, warns of every damaged block through filters that all threads share, and raises for
    blocks that are no EXIF at all.
    """
    block = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(order + "I", block, 4)
        (count,) = struct.unpack_from(order + "H", block, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            tag, _, _, value = struct.unpack_from(order + "HHIH", block, entry)
            if tag == ORIENTATION:
                return value if 1 <= value <= 8 else 1
    except struct.error:  # an offset outside the block
        pass
    return 1


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """Rotate or flip the image as `orientation` says; return it unchanged if nothing is to do."""
    turn = _UPRIGHT.get(orientation)
    return image if turn is None else image.transpose(turn)


def upright_array(values: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Apply :func:`upright` to an array (H, W) or (H, W, C); return a view."""
    if orientation in (5, 6, 7, 8):
        values = values.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        values = values[::-1]
    if orientation in (2, 3, 6, 7):
        values = values[:, ::-1]
    return np.asarray(values)
