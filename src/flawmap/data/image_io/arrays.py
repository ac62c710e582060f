"""Conversion of in-memory images (arrays, PIL images, file objects) to RGB arrays."""

from __future__ import annotations

import io
import os
from typing import IO, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from flawmap.data.image_io.images import (
    MAX_BYTES,
    ImageError,
    Source,
    is_wide,
    read_image,
    rgb_pixels,
    white_for,
)
from flawmap.data.image_io.white_level import FULL_16, to_bytes
from flawmap.errors import FlawmapError, UsageError

Colour = Literal["RGB", "BGR", "RGBA", "BGRA", "mono"]
Frame = Source | bytearray | memoryview | IO[bytes] | NDArray[Any] | Image.Image

_ACCEPTED = (
    "give a path, the bytes of an image file, a file object opened in binary mode, a PIL image, "
    "or an array of shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4)"
)


def check_colour(colour: str | None) -> None:
    """Raise UsageError for an unknown channel order."""
    if colour is not None and colour not in get_args(Colour):
        raise UsageError(f"Unknown colour {colour!r}: give {', '.join(get_args(Colour))}.")


def as_rgb(
    frame: Frame,
    colour: Colour | None = None,
    white_level: int | None = None,
    *,
    name: str | None = None,
) -> NDArray[np.uint8]:
    """Convert any kind of frame to RGB, uint8 (H, W, 3), C-contiguous.

    The result never shares memory with `frame`: a camera may reuse its buffer at once.

    `colour`: channel order of an array; by default RGB, or RGBA for four. Alpha is dropped. An
    array of one channel is mono whatever `colour` says; files and PIL images state their own.
    `white_level`: the 16-bit value that becomes 255; by default from a file's tags, else 65535.
    Higher values become 255. Floating-point arrays hold 0..1. `name` is a file's name in messages.

    Raises UsageError for anything but an image, ImageError for a file that cannot be decoded.
    """
    check_colour(colour)
    source = as_source(frame)
    if source is not None:
        return read_image(source, name=name, white_level=white_level)
    if isinstance(frame, Image.Image):
        return _from_pil(frame, white_level)
    return _from_array(_as_array(frame), colour, white_level)


def check_several(frames: Any) -> None:
    """Raise UsageError if a single image is given instead of several (its rows are not frames)."""
    one = isinstance(frames, Image.Image | str | os.PathLike | bytes | bytearray | memoryview)
    shape = getattr(frames, "shape", None)
    if isinstance(shape, tuple):
        one = len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3, 4))
    some = hasattr(frames, "__iter__") or hasattr(frames, "__getitem__")
    if one or isinstance(frames, io.IOBase) or not some:
        raise UsageError(
            f"One {type(frames).__name__} is not a series of frames: give a list, a generator or "
            "an array (N, H, W, C) of them; for one image use Inspector.inspect."
        )


def as_source(frame: Frame) -> Source | None:
    """Return the path or bytes that `frame` stands for; None for an array or a PIL image.

    A seekable file object is read from its start. Raises UsageError for a file opened in text mode.
    """
    if isinstance(frame, bytes):
        return frame
    if isinstance(frame, str | os.PathLike):
        return os.fsdecode(frame)
    if isinstance(frame, bytearray | memoryview):
        return None if isinstance(frame, memoryview) and frame.ndim > 1 else bytes(frame)
    if isinstance(frame, np.ndarray | Image.Image) or not callable(getattr(frame, "read", None)):
        return None
    return _content(frame)


def _content(file: Any) -> bytes:
    try:
        if getattr(file, "seekable", lambda: False)():
            file.seek(0)
        data = file.read(MAX_BYTES + 1)
    except UnicodeDecodeError:
        data = ""
    except (OSError, ValueError) as error:
        reason = str(error).rstrip(".")
        raise ImageError(f"The file object cannot be read: {reason}.") from error
    if not isinstance(data, bytes):
        raise UsageError("The file object gives text: open the image file in binary mode, 'rb'.")
    return data


def _as_array(frame: Any) -> NDArray[Any]:
    """Convert to an array: arrays, tensors and other libraries' buffers."""
    if isinstance(frame, np.ndarray):
        return np.asarray(frame)
    protocols = ("__array__", "__array_interface__", "__array_struct__", "__dlpack__")
    if not (isinstance(frame, memoryview) or any(hasattr(frame, name) for name in protocols)):
        raise UsageError(f"A {type(frame).__name__} is not an image: {_ACCEPTED}.")
    try:
        by_dlpack = not any(hasattr(frame, name) for name in protocols[:3])
        if by_dlpack and not isinstance(frame, memoryview):
            return np.from_dlpack(frame)
        return np.asarray(frame)
    except Exception as error:  # a tensor on a GPU, one with a gradient, a type NumPy lacks
        reason = " ".join(str(error).split())
        raise UsageError(
            f"This {type(frame).__name__} cannot be read as an array ({reason}): "
            "give a NumPy array."
        ) from error


def _from_array(
    array: NDArray[Any], colour: Colour | None, white_level: int | None
) -> NDArray[np.uint8]:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or array.size == 0:
        raise _refused(array)
    if array.ndim == 3:
        array = array[:, :, _channels(array, colour)]
    pixels = _bytes(array, white_level)
    if pixels.ndim == 2:
        return np.repeat(pixels[:, :, None], 3, axis=2)
    return np.array(pixels, order="C")


def _channels(array: NDArray[Any], colour: Colour | None) -> slice:
    """Return the slice that selects red, green and blue in this order."""
    count = array.shape[2]
    if count not in (3, 4):
        raise _refused(array)
    if colour == "mono" or (count == 3 and colour in ("RGBA", "BGRA")):
        raise UsageError(f"A frame with {count} channels cannot be {colour}: give another colour.")
    return slice(2, None, -1) if colour in ("BGR", "BGRA") else slice(0, 3)


def _bytes(array: NDArray[Any], white_level: int | None) -> NDArray[np.uint8]:
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind == "u" and array.dtype.itemsize == 2:  # in either byte order
        return to_bytes(array, white_for(int(array.max()), white_level))
    if array.dtype.kind != "f":
        raise _refused(array)
    if not (array.min() >= 0 and array.max() <= 1):  # written so that NaN fails it
        raise UsageError(
            f"Floating-point values {array.min():g} to {array.max():g} lie outside 0..1: "
            "divide them by the value of white."
        )
    return np.rint(array * 255.0).astype(np.uint8)


def _from_pil(image: Image.Image, white_level: int | None) -> NDArray[np.uint8]:
    if 0 in image.size:
        raise UsageError(
            f"A PIL image of {image.width} x {image.height} pixels is empty: give one with pixels."
        )
    try:
        upright = ImageOps.exif_transpose(image)  # always a copy
        if is_wide(upright):
            grey = _bytes(_deep(upright), white_level)
            return np.repeat(grey[:, :, None], 3, axis=2)
        return rgb_pixels(upright)
    except FlawmapError:
        raise
    except Exception as error:  # its file, opened but not decoded yet, may be anything
        raise ImageError(
            f"The PIL image cannot be read as RGB (mode {image.mode}: {error}): convert it first."
        ) from error


def _deep(image: Image.Image) -> NDArray[Any]:
    values = np.asarray(image)
    if values.dtype.kind != "i":
        return values
    if not (values.min() >= 0 and values.max() <= FULL_16):
        raise UsageError(
            f"Whole numbers {values.min()} to {values.max()} lie outside 0..65535: scale them."
        )
    return values.astype(np.uint16)


def _refused(array: NDArray[Any]) -> UsageError:
    return UsageError(
        f"An array of {array.dtype} {array.shape} is not an image: give uint8, uint16 or floats "
        "within 0..1, of shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), channels last."
    )
