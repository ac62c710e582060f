"""Float32 scores as integers that sort the same way.

The bits of a non-negative IEEE 754 float, read as an unsigned integer, already sort like the
float; negative ones sort backwards. Flipping the sign bit of the former and all bits of the latter
gives one ascending order. Dropping low bits of such a key makes a bin whose width follows the
float's own resolution, so bins stay narrow where maps peak (near 0, in particular).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

UInt32 = NDArray[np.uint32]
SIGN = np.uint32(1 << 31)


def to_keys(scores: NDArray[np.float32]) -> UInt32:
    """Order-preserving integer keys of finite float32 scores; -0.0 and 0.0 share one key.

    Any shape in, the same shape out.

    >>> to_keys(np.array([-1.0, -0.0, 0.0, 1.0], dtype=np.float32)).tolist()
    [1082130431, 2147483648, 2147483648, 3212836864]
    """
    bits: UInt32 = np.ascontiguousarray(scores + np.float32(0)).view(np.uint32)
    negative: UInt32 = (bits.view(np.int32) >> 31).view(np.uint32)  # all ones, or none
    keys: UInt32 = bits ^ (negative | SIGN)
    return keys
