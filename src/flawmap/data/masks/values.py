"""The rule that decides from a mask's values which pixels are marked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Values = NDArray[Any]

_FEW = 4  # up to this many distinct values are labels regardless of their position
_NOISE = 32  # values below this may be noise of a black image; labels that small are flat
_MARGIN = 8  # values within 1/8 of 0 or of the highest may be JPEG artefacts of these two
_SETTLED = 0.5  # for labels, minimum share of the values in between that form regions
_FLAT = 0.9  # the same share over all values between 0 and the highest
_LOSSY_STEP = 24  # values this close count as equal in a JPEG
_LOSSY_BLACK = 25  # label values up to this are background in a JPEG


def marked_share(values: Values, *, lossy: bool = False) -> NDArray[np.float32]:
    """Return how far each pixel of a mask (h, w) is marked, 0..1, by value; 0 is background.

    A mask holds either *labels*, where every value above 0 is marked, or *shares* of one drawing
    with soft edges (antialiased, blurred, stored as JPEG), where values of at least half the
    highest are marked. Files do not say which, so the structure decides:

    1. At most 4 distinct values are labels: 0/1, 0/255, 0/128/255, 0/7, 1/2.
    2. Integers below 32 are labels, unless they are noise over the whole image, which marks
       nothing.
    3. Other values are labels if they form regions. Of the pixels clearly between 0 and the highest
       value (an eighth away from both, which excludes JPEG noise), at least half are in a square of
       2x2 equal pixels, or at least half of those beside the background do not climb: the pixel on
       the opposite side is not higher. Or nine tenths of all pixels between 0 and the highest value
       are in such squares.
    4. Anything else is a soft drawing: the values of a soft edge climb from the background.

    `lossy` (JPEG): values count as equal within 24, labels up to 25 are background, and climbing
    is not checked.
    """
    values = values.astype(np.uint8) if values.dtype == bool else values
    box = _box(values)
    share = np.zeros(values.shape, np.float32)
    if box is not None:
        share[box] = _share(values[box], values.size, lossy)
    return share


def _share(values: Values, pixels: int, lossy: bool) -> NDArray[Any]:
    kind = _kind(values, pixels)
    if kind.noise:
        return np.zeros(values.shape, np.float32)
    if kind.labels or _in_regions(values, kind.highest, lossy):
        return values > (_LOSSY_BLACK if lossy and kind.highest >= _NOISE else 0)
    full = 1.0 if values.dtype.kind == "f" and kind.highest <= 1 else float(kind.highest)
    return values / np.float32(full)


class _Kind(NamedTuple):
    highest: float
    labels: bool
    noise: bool


def _kind(values: Values, pixels: int) -> _Kind:
    """Classify the values regardless of position, for a mask of `pixels` pixels."""
    highest = values.max().item()
    whole = values.dtype.kind != "f"
    small = whole and highest < _NOISE
    dark = _NOISE if values.dtype.itemsize == 1 else _NOISE * 257  # the same share of 16 bits
    if whole and highest < dark and _is_noise(values, pixels):
        return _Kind(highest, labels=False, noise=True)
    return _Kind(highest, labels=small or _are_few(values, highest), noise=False)


def _are_few(values: Values, highest: float) -> bool:
    if len(np.unique(values[:: max(1, len(values) // 64)])) > _FEW:
        return False
    distinct = np.unique(values)
    low = (distinct > 0) & (distinct < highest / _MARGIN)
    high = (distinct > highest - highest / _MARGIN) & (distinct < highest)
    return len(distinct) <= _FEW and not (low.any() and high.any())  # 0, 1, 254, 255: a good JPEG


def _is_noise(values: Values, pixels: int) -> bool:
    """Whether small values are all over the image, and hardly any has an equal neighbour."""
    above = values > 0
    if above.sum() < pixels / 8 or values.shape[0] < 3 or values.shape[1] < 3:
        return False
    return float((_equal_squares(values, 0) & above).sum() / above.sum()) < _SETTLED


def _in_regions(values: Values, highest: float, lossy: bool) -> bool:
    step = _LOSSY_STEP * highest / 255 if lossy else 0
    flat = _equal_squares(values, step)
    low, high = highest / _MARGIN, highest - highest / _MARGIN
    clearly = (values > low) & (values < high)
    if clearly.any() and flat[clearly].mean() >= _SETTLED:
        return True
    if lossy:
        return False
    edge = (values > highest / 4) & (values < highest * 3 / 4) & _beside_background(values)
    if edge.any() and _keeps_its_value(values)[edge].mean() >= _SETTLED:
        return True
    between = (values > 0) & (values < highest)
    return bool(flat[between].mean() >= _FLAT)


def _equal_squares(values: Values, step: float) -> NDArray[np.bool_]:
    """Return the pixels (h, w) in a 2x2 square whose values differ by at most `step`."""
    if step:
        values = values.astype(np.float32)
        stacked = (values[:-1, :-1], values[:-1, 1:], values[1:, :-1], values[1:, 1:])
        square = np.maximum.reduce(stacked) - np.minimum.reduce(stacked) <= step
    else:
        square = (values[:-1, :-1] == values[:-1, 1:]) & (values[:-1, :-1] == values[1:, :-1])
        square &= values[:-1, :-1] == values[1:, 1:]
    equal = np.zeros(values.shape, bool)
    for rows in (slice(None, -1), slice(1, None)):
        for columns in (slice(None, -1), slice(1, None)):
            equal[rows, columns] |= square
    return equal


def _beside_background(values: Values) -> NDArray[np.bool_]:
    beside = np.zeros(values.shape, bool)
    for one, _ in _opposites(values):
        beside |= one == 0
    return beside


def _keeps_its_value(values: Values) -> NDArray[np.bool_]:
    """Return the pixels (h, w) with background on one side and an equal value or background on the
    opposite side, but in no direction a higher value opposite background."""
    same, climbs = np.zeros(values.shape, bool), np.zeros(values.shape, bool)
    for one, other in _opposites(values):
        same |= (one == 0) & ((other == values) | (other == 0))
        climbs |= (one == 0) & (other > values)
    same &= ~climbs
    return same


def _opposites(values: Values) -> Iterator[tuple[Values, Values]]:
    """Yield each pixel's neighbours on two opposite sides, each side once as the first."""
    padded = np.pad(values, 1, mode="edge")
    middle = slice(1, -1)
    rows = padded[:-2, middle], padded[2:, middle]
    columns = padded[middle, :-2], padded[middle, 2:]
    yield from (rows, rows[::-1], columns, columns[::-1])


def _box(values: Values) -> tuple[slice, slice] | None:
    """Return the bounding box of values above 0, plus one pixel around; None if there are none."""
    above = values > 0
    rows, columns = np.flatnonzero(above.any(axis=1)), np.flatnonzero(above.any(axis=0))
    if not len(rows):
        return None
    return (
        slice(max(0, int(rows[0]) - 1), int(rows[-1]) + 2),
        slice(max(0, int(columns[0]) - 1), int(columns[-1]) + 2),
    )
