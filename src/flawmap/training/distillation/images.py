"""The images to distil from: square pieces of 256 pixels, some of them held out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from flawmap.data.image_io.images import ImageError, read_image, resize_image
from flawmap.errors import UsageError
from flawmap.inspection.sources import list_images
from flawmap.training.distillation.views import Bank

SIDE = 256
_LEAST = 8  # images
_MOST = 4096  # images, 0.8 GB; more are sampled evenly
_LONGEST = 8  # pieces of an image
_HELD = 8  # every eighth is held out


def load_banks(folder: Path, say: Callable[[str], None]) -> tuple[Bank, Bank]:
    """Read the images below ``folder``; return pieces to learn from, and pieces held out.

    Both are uint8 (n, 256, 256, 3). Unreadable images are left out, and ``say`` receives a note.
    Raises UsageError if fewer than 8 can be read.
    """
    paths = [target.path for target in list_images(folder)]
    if len(paths) > _MOST:
        say(f"Of {len(paths):,} images, {_MOST:,} are used.")
        paths = [paths[i * len(paths) // _MOST] for i in range(_MOST)]
    found: list[Bank] = []
    for path in paths:
        try:
            found.append(pieces(read_image(path)))
        except ImageError as error:
            say(f"Left out: {error}")
    if len(found) < _LEAST:
        raise UsageError(f"{folder} has {len(found)} readable images: give {_LEAST} or more.")
    learned = [piece for number, piece in enumerate(found) if number % _HELD]
    return np.concatenate(learned), np.concatenate(found[::_HELD])


def pieces(image: Bank) -> Bank:
    """Cut an image (h, w, 3), its shorter side resized to 256, into squares (n, 256, 256, 3)."""
    height, width = image.shape[:2]
    count = min(_LONGEST, max(1, round(max(height, width) / min(height, width))))
    size = (SIDE * count, SIDE) if height > width else (SIDE, SIDE * count)
    parts = np.split(resize_image(image, size), count, axis=0 if height > width else 1)
    return np.stack(parts)
