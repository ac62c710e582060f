"""Shapes of images and regions: the ratio of height to width, at any scale."""

from __future__ import annotations

import math

from flawmap.types import Size

_SAME = 0.01  # tolerance between two ratios of height to width


def is_like(one: Size, other: Size) -> bool:
    """Whether two sizes have the same aspect ratio, up to rounding to whole pixels.

    >>> is_like((380, 600), (190, 300)), is_like((380, 600), (600, 380))
    (True, False)
    """
    rounding = 1 / min(*one, *other)
    ratio = (one[0] * other[1]) / (one[1] * other[0])
    return abs(math.log(ratio)) <= max(_SAME, rounding)


def extent(size: Size) -> str:
    """Word a (height, width) for messages: width first."""
    return f"{size[1]} x {size[0]} pixels"
