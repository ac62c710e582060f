"""COCO run lengths: pixels column by column, background first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from flawmap.data.image_io.images import MAX_PIXELS
from flawmap.data.masks.annotations.shapes import Runs


def runs(value: Any) -> Runs:
    """Parse {"size": [h, w], "counts": numbers or their compressed text}.

    Raises ValueError, KeyError or TypeError for anything else.
    """
    height, width = (int(side) for side in value["size"])
    if height < 1 or width < 1 or height * width > MAX_PIXELS:
        raise ValueError(f"run lengths of an image of {width} x {height} pixels")
    counts = value["counts"]
    if isinstance(counts, str):
        counts = _uncompressed(counts)
    lengths = np.array(counts, np.int64)
    pixels = height * width
    if lengths.ndim != 1 or ((lengths < 0) | (lengths > pixels)).any() or lengths.sum() != pixels:
        raise ValueError(f"run lengths that do not fill {width} x {height} pixels")
    return Runs((height, width), lengths)


def _uncompressed(text: str) -> Sequence[int]:
    """Decode COCO's text: numbers in 5-bit digits, from the fourth on as differences to the last
    but one (`rleFrString` of pycocotools)."""
    counts: list[int] = []
    number = shift = 0
    for letter in text:
        digit = ord(letter) - 48
        if not 0 <= digit < 64 or shift > 60:
            raise ValueError("compressed run lengths that are none")
        number |= (digit & 31) << shift
        shift += 5
        if not digit & 32:
            if digit & 16:
                number -= 1 << shift
            counts.append(number + (counts[-2] if len(counts) > 2 else 0))
            number = shift = 0
    return counts
