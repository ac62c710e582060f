"""Select the loaded images that are usable for training, with notes on the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flawmap.data.samples import plural
from flawmap.data.store import LoadedImages

SMALLEST = 16
"""Minimum shorter side in pixels; below it, the finest level has four cells or fewer."""
_ONE_COLOUR = 2  # of 255: largest spread of pixel values in an image of one colour
_STEP = 8  # pixel stride of the first, coarse check
_OTHER_SHAPE = 4 / 3


@dataclass(frozen=True)
class Usable:
    """Indices of the images to use, and notes for the user, one line each."""

    rows: NDArray[np.int64]
    copies: int
    useless: int
    notes: tuple[str, ...]


def find_usable(loaded: LoadedImages) -> Usable:
    """Exclude tiny and single-colour images, and all but the first of identical files."""
    count = len(loaded.paths)
    small = [index for index, size in enumerate(loaded.sizes) if min(size) < SMALLEST]
    flat = [i for i in sorted({*range(count)} - {*small}) if _is_flat(loaded.image(i))]
    kept = sorted({*range(count)} - {*small, *flat})
    first = {loaded.sha256[index]: index for index in reversed(kept)}
    rows = sorted(first.values())
    copies = len(kept) - len(rows)
    notes = []
    if small:
        notes.append(f"{plural(len(small), 'image(s)')} left out: smaller than {SMALLEST} pixels.")
    if flat:
        notes.append(f"{plural(len(flat), 'image(s)')} left out: only one colour.")
    if copies:
        notes.append(
            f"{copies} of {plural(len(kept), 'good image(s)')} "
            f"{'is a copy' if copies == 1 else 'are copies'} of another: only one of each is used."
        )
    return Usable(np.array(rows, np.int64), copies, len(small) + len(flat), tuple(notes))


def mixture_hints(loaded: LoadedImages, rows: Sequence[int], squashed: bool) -> list[str]:
    """Return hints if images differ in shape, or if grey and colour images are mixed."""
    hints = []
    ratios = np.array([loaded.sizes[i][0] / loaded.sizes[i][1] for i in rows])
    other = np.abs(np.log(ratios / np.median(ratios))) > np.log(_OTHER_SHAPE)
    if squashed and other.any():
        first = rows[int(np.flatnonzero(other)[0])]
        height, width = loaded.sizes[first]
        hints.append(
            f"{int(other.sum())} of {len(rows)} good images differ in shape from most, such as "
            f"{loaded.paths[first].name} of {height}x{width} (height x width): leave out images "
            "that the camera at the line does not take."
        )
    grey = sum(_is_grey(loaded.image(index)) for index in rows)
    if 0 < grey < len(rows):
        hints.append(
            f"{grey} of {len(rows)} good images are grey and the others in colour: leave out "
            "images that the camera at the line does not take."
        )
    return hints


def _is_flat(image: NDArray[np.uint8]) -> bool:
    """Whether an image (h, w, 3) has only one colour."""
    return _spread(image[::_STEP, ::_STEP]) <= _ONE_COLOUR and _spread(image) <= _ONE_COLOUR


def _spread(image: NDArray[np.uint8]) -> int:
    pixels = image.reshape(-1, image.shape[-1])
    return int((pixels.max(0).astype(int) - pixels.min(0)).max())


def _is_grey(image: NDArray[np.uint8]) -> bool:
    some = image[::_STEP, ::_STEP]
    return bool((some == some[..., :1]).all())
