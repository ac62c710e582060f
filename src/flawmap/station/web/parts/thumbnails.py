"""Small copies of images, made when they are first asked for and kept on disk."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flawmap.data.image_io.images import read_scaled
from flawmap.errors import FlawmapError
from flawmap.station.parts.files import FileStore
from flawmap.utils.files import make_folder, write_bytes

SIDE = 256  # pixels of the longer side
_QUALITY = 60


def thumbnail(files: FileStore, digest: str, suffix: str) -> bytes:
    """Return the WebP thumbnail of a stored image.

    Raises ImageError if the image cannot be decoded. A full disk only costs time: the thumbnail is
    then made again at the next request.
    """
    path = files.thumbnail_path(digest)
    if path.exists():
        return path.read_bytes()
    data = _encode(_small(files.image_path(digest, suffix)))
    try:
        make_folder(path.parent)
        write_bytes(path, data)
    except (FlawmapError, OSError):
        pass
    return data


def fitted(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Return (height, width) scaled down to `side` pixels, each at least one.

    >>> fitted((1000, 500), 256), fitted((20, 10), 256)
    ((256, 128), (20, 10))
    """
    factor = min(1.0, side / max(size))
    height, width = (max(1, round(length * factor)) for length in size)
    return height, width


def _small(path: Path) -> NDArray[np.uint8]:
    pixels, _ = read_scaled(path, lambda size: fitted(size, SIDE))
    return pixels


def _encode(pixels: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "WEBP", quality=_QUALITY, method=2)
    return file.getvalue()
