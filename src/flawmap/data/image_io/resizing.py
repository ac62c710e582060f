"""Bilinear resizing by Pillow, antialiased; a large image's halves on two threads."""

from __future__ import annotations

from concurrent.futures import Future
from threading import Thread
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flawmap.errors import UsageError
from flawmap.utils.hardware import available_cores

Pixels = Image.Image | NDArray[Any]
_LARGE = 2**19  # pixels; below that a second thread costs what it saves


def resized(image: Pixels, size: tuple[int, int]) -> Image.Image:
    """Resize an image, or an array (H, W) or (H, W, 3) of uint8, to `size`, (height, width).

    Scales along rows, then along columns: on its own, Pillow from 13 on takes columns first for
    some shapes, which changes values by one and would make scores depend on Pillow's version. Rows
    do not depend on one another, so halves that two threads scale are the same bits.
    """
    height, width = size
    if height < 1 or width < 1:
        raise UsageError(f"an image cannot be {height} pixels high and {width} wide")
    own_height, own_width = _size(image)
    if own_height * own_width < _LARGE or own_height < 2 or available_cores() < 2:
        across = _across(image, 0, own_height, width)
    else:
        across = _across_by_halves(image, own_height, width)
    return across.resize((width, height), Image.Resampling.BILINEAR)


def _across_by_halves(image: Pixels, own_height: int, width: int) -> Image.Image:
    middle = own_height // 2
    lower: Future[Image.Image] = Future()

    def work() -> None:
        try:
            lower.set_result(_across(image, middle, own_height, width))
        except BaseException as error:
            lower.set_exception(error)

    if isinstance(image, Image.Image):
        image.load()  # before two threads read it
    Thread(target=work, name="flawmap-resize").start()
    upper = _across(image, 0, middle, width)
    joined = Image.new(upper.mode, (width, own_height))
    joined.paste(upper, (0, 0))
    joined.paste(lower.result(), (0, middle))
    return joined


def _across(image: Pixels, top: int, bottom: int, width: int) -> Image.Image:
    """Scale rows `top` to `bottom` to `width` pixels."""
    if isinstance(image, Image.Image):
        rows = image.crop((0, top, image.width, bottom)) if bottom - top < image.height else image
    else:
        rows = Image.fromarray(np.ascontiguousarray(image[top:bottom]))
    return rows.resize((width, bottom - top), Image.Resampling.BILINEAR)


def _size(image: Pixels) -> tuple[int, int]:
    if isinstance(image, Image.Image):
        return image.height, image.width
    return image.shape[0], image.shape[1]
