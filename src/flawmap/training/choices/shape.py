"""The working size where it is left open: one in which the good images keep their shape."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from flawmap.data.image_io.decoding import stated_size
from flawmap.types import Size

CELL = 128  # pixels; sides that every method's defaults work on
SQUEEZED = 4 / 3  # shapes that differ by more are kept
_LONGEST = 4  # times the shorter side
_ASKED = 200  # images or a few more, evenly spread


def settle_size(
    usual: Size, images: Sequence[Path], say: Callable[[str], None] = lambda text: None
) -> Size:
    """The ``usual`` working size (height, width), or a longer one where that would squeeze images.

    The shorter side stays, the longer one is at most four times that; it is said, and what it
    costs. Files whose header cannot be read are left to training, which says why.
    """
    asked = [
        images[i] for i in np.linspace(0, len(images) - 1, min(_ASKED, len(images))).astype(int)
    ]
    sizes = [size for size in map(stated_size, asked) if size is not None]
    if not sizes:
        return usual
    height, width = np.median(np.array(sizes), axis=0)
    if not is_squeezed((height, width), usual):
        return usual
    size = kept_shape((height, width), min(usual))
    share = usual[0] * usual[1] / (size[0] * size[1])
    say(
        f"Working size: {told(size)}, as the images are {height:.0f}x{width:.0f} (height x width); "
        f"--size {told(usual)} would squeeze them, in {100 * share:.0f} % of the time."
    )
    return size


def is_squeezed(image: tuple[float, float], size: Size) -> bool:
    """Whether squashing images to a size changes their shape by more than a third."""
    ratio = (image[0] / image[1]) / (size[0] / size[1])
    return max(ratio, 1.0 / ratio) > SQUEEZED


def kept_shape(image: tuple[float, float], shorter: int) -> Size:
    """The size of about the image's shape, whose shorter side is the one given."""
    scale = shorter / min(image)
    height, width = (
        min(_LONGEST * shorter, max(1, round(scale * side / CELL)) * CELL) for side in image
    )
    return (shorter, width) if image[0] <= image[1] else (height, shorter)


def told(size: Size) -> str:
    """As ``--size`` takes it."""
    return f"{size[0]}x{size[1]}"
