"""Grey values of more than 8 bits to bytes, by the value that counts as white."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from flawmap.errors import UsageError

FULL_16 = 65535


def check_white_level(white: int) -> int:
    """The white level itself; UsageError where 16-bit values cannot have it."""
    if not 1 <= white <= FULL_16:
        raise UsageError(
            f"A white level of {white} is none: give 1 to 65535, such as 1023, 4095, 16383 or "
            "65535 for cameras of 10, 12, 14 or 16 bits."
        )
    return white


def to_bytes(values: NDArray[np.uint16], white: int) -> NDArray[np.uint8]:
    """Scale 0..`white` to 0..255, rounded; values above are white. Any shape."""
    scaled: NDArray[np.uint8] = _table(white)[values]
    return scaled


@lru_cache(maxsize=8)
def _table(white: int) -> NDArray[np.uint8]:
    """The byte of each 16-bit value: one look-up a pixel is faster than arithmetic."""
    values = np.minimum(np.arange(FULL_16 + 1), white)
    table = ((values * 255 + white // 2) // white).astype(np.uint8)
    table.flags.writeable = False
    return table
