"""PNG files written in strips of rows, for images too large to be encoded at once."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flawmap.utils.files import replacing

_COLOUR_TYPES = {1: 0, 3: 2}  # by channels: grey, RGB
_SUB = 1  # PNG's filter: each value as its difference from the left neighbour's


@contextmanager
def strip_png(path: Path, shape: tuple[int, ...]) -> Iterator[Callable[[NDArray[np.uint8]], None]]:
    """Yield a function that writes the next rows, uint8 (n, W) or (n, W, 3), of a PNG of ``shape``.

    The file is written atomically. Pillow encodes whole images only, from a copy of four bytes per
    pixel. Here compression searches the filtered rows for runs only, which is several times as fast
    as Pillow's and gives files about as large. Raises FlawmapError if the folder is missing, full
    or not writable.
    """
    channels = 1 if len(shape) == 2 else shape[2]
    deflate = zlib.compressobj(1, strategy=zlib.Z_RLE)
    with replacing(path) as temporary, temporary.open("wb") as file:

        def chunk(name: bytes, data: bytes) -> None:
            checksum = zlib.crc32(data, zlib.crc32(name))
            file.write(struct.pack(">I", len(data)) + name)
            file.write(data)
            file.write(struct.pack(">I", checksum))

        def write(rows: NDArray[np.uint8]) -> None:
            flat = rows.reshape(len(rows), -1)
            filtered = np.empty((len(flat), flat.shape[1] + 1), np.uint8)
            filtered[:, 0] = _SUB
            filtered[:, 1 : channels + 1] = flat[:, :channels]
            np.subtract(flat[:, channels:], flat[:, :-channels], out=filtered[:, channels + 1 :])
            if data := deflate.compress(filtered.data):
                chunk(b"IDAT", data)

        file.write(b"\x89PNG\r\n\x1a\n")
        kind = _COLOUR_TYPES[channels]
        chunk(b"IHDR", struct.pack(">IIBBBBB", shape[1], shape[0], 8, kind, 0, 0, 0))
        yield write
        chunk(b"IDAT", deflate.flush())
        chunk(b"IEND", b"")
