"""The 16-bit value that counts as white: cameras store 10, 12 or 14 bits in 16-bit files."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flawmap.errors import UsageError

FULL_16 = 65535
_WHITES = (255, 1023, 4095, 16383, FULL_16)  # white of 8, 10, 12, 14 and 16 bits


def check_white_level(white: int) -> int:
    """Return the white level; raise UsageError if 16-bit values cannot have it."""
    if not 1 <= white <= FULL_16:
        raise UsageError(
            f"The white level {white} is out of range: give 1 to 65535, such as 1023, 4095, 16383 "
            "or 65535 for cameras of 10, 12, 14 or 16 bits."
        )
    return white


def lowest_white(highest: int) -> int:
    """Return the white of the camera with the fewest bits that can give the value `highest`.

    >>> [lowest_white(value) for value in (200, 256, 1023, 4087, 16320, 16384)]
    [255, 1023, 1023, 4095, 16383, 65535]
    """
    return next(white for white in _WHITES if highest <= white)


def bits_of(white: int) -> int:
    """Return the number of bits that values up to `white` take."""
    return white.bit_length()


def to_bytes(values: NDArray[Any], white: int) -> NDArray[np.uint8]:
    """Scale integers (0..65535) from 0..`white` to 0..255, rounded; values above become 255."""
    scaled: NDArray[np.uint8] = _table(white)[values]
    return scaled


@lru_cache(maxsize=8)
def _table(white: int) -> NDArray[np.uint8]:
    """Return the byte for each 16-bit value: one look-up per pixel is faster than arithmetic."""
    values = np.minimum(np.arange(FULL_16 + 1), white)
    table = ((values * 255 + white // 2) // white).astype(np.uint8)
    table.flags.writeable = False
    return table
