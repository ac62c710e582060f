"""Choose the default working size so that the good images keep their shape."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from flawmap.data.image_io.decoding import stated_size
from flawmap.types import Size

CELL = 128  # pixels; sizes are multiples of about this many
SQUEEZED = 4 / 3  # if shapes differ by more, the shape is kept
_LONGEST = 4  # times the shorter side
_SAMPLE = 200  # images whose size is read, evenly spread


def choose_size(
    usual: Size,
    images: Sequence[Path],
    say: Callable[[str], None] = lambda text: None,
    size_multiple: int = 1,
) -> Size:
    """Return the ``usual`` size (height, width), or a longer one if that would squeeze images.

    The shorter side stays, the longer one is at most four times that; the change and its cost are
    reported. Sides are multiples of ``size_multiple`` pixels, if ``usual`` is. Files with an
    unreadable header are skipped; training reports the reason.
    """
    sampled = [
        images[i] for i in np.linspace(0, len(images) - 1, min(_SAMPLE, len(images))).astype(int)
    ]
    sizes = [size for size in map(stated_size, sampled) if size is not None]
    if not sizes:
        return usual
    height, width = np.median(np.array(sizes), axis=0)
    if not is_squeezed((height, width), usual):
        return usual
    size = kept_shape((height, width), min(usual), size_multiple)
    share = usual[0] * usual[1] / (size[0] * size[1])
    say(
        f"Working size: {format_size(size)}, as the images are {height:.0f}x{width:.0f} (height x "
        f"width); --size {format_size(usual)} would squeeze them, but takes "
        f"{100 * share:.0f} % of the time."
    )
    return size


def is_squeezed(image: tuple[float, float], size: Size) -> bool:
    """Whether squashing images to a size changes their shape by more than a third."""
    ratio = (image[0] / image[1]) / (size[0] / size[1])
    return max(ratio, 1.0 / ratio) > SQUEEZED


def kept_shape(image: tuple[float, float], shorter: int, size_multiple: int = 1) -> Size:
    """Return the size of about the image's shape with the given shorter side.

    The longer side is a multiple of ``size_multiple``, in steps of about 128 pixels.
    """
    cell = max(1, round(CELL / size_multiple)) * size_multiple
    scale = shorter / min(image)
    height, width = (
        min(_LONGEST * shorter, max(1, round(scale * side / cell)) * cell) for side in image
    )
    return (shorter, width) if image[0] <= image[1] else (height, shorter)


def format_size(size: Size) -> str:
    """Format a size as ``--size`` takes it."""
    return f"{size[0]}x{size[1]}"
