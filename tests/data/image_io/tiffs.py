"""TIFF files written by hand, in the kinds that Pillow does not write."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

_TYPES = {1: "B", 3: "H", 4: "I", 16: "Q"}


def write_tiff(
    values: NDArray[Any],
    *,
    photometric: int | None = None,
    planar: bool = False,
    order: str = "<",
    big: bool = False,
    tile: tuple[int, int] | None = None,
    rows: int | None = None,
    deflate: bool = False,
    predictor: int = 1,
    bits: int | None = None,
    tags: dict[int, tuple[int, list[int]]] | None = None,
    next_page: bool = False,
) -> bytes:
    """A file of (H, W) or (H, W, C) in strips of `rows` or in tiles; `bits` packs the samples."""
    if values.ndim == 2:
        values = values[:, :, None]
    height, width, count = values.shape
    if photometric is None:
        photometric = 2 if count >= 3 else 1
    planes = [values[:, :, i : i + 1] for i in range(count)] if planar else [values]
    down, across = tile or (rows or height, width)
    chunks = []
    for plane in planes:
        for top in range(0, height, down):
            for left in range(0, width, across):
                part = plane[top : top + down, left : left + across]
                if tile:
                    over = (down - part.shape[0], across - part.shape[1])
                    part = np.pad(part, [(0, over[0]), (0, over[1]), (0, 0)], mode="edge")
                data = _chunk(part, order, predictor, bits)
                chunks.append(zlib.compress(data) if deflate else data)
    depth = bits or 8 * values.itemsize
    form = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    long = 16 if big else 4
    found: dict[int, tuple[int, list[int]]] = {
        256: (4, [width]), 257: (4, [height]), 258: (3, [depth] * count),
        259: (3, [8 if deflate else 1]), 262: (3, [photometric]), 277: (3, [count]),
        284: (3, [2 if planar else 1]), 317: (3, [predictor]), 339: (3, [form] * count),
    }  # fmt: skip
    places: list[int] = [0] * len(chunks)
    sizes = [len(chunk) for chunk in chunks]
    if tile:
        found |= {322: (4, [across]), 323: (4, [down]), 324: (long, places), 325: (long, sizes)}
    else:
        found |= {278: (4, [down]), 273: (long, places), 279: (long, sizes)}
    found = {tag: entry for tag, entry in (found | (tags or {})).items() if entry[1]}
    return _file(found, chunks, order, big, next_page)


def _chunk(part: NDArray[Any], order: str, predictor: int, bits: int | None) -> bytes:
    if bits is not None:
        flat = part.reshape(len(part), -1).astype(np.int64)
        singles = (flat[:, :, None] >> np.arange(bits - 1, -1, -1)) & 1
        return np.packbits(singles.reshape(len(part), -1).astype(np.uint8), axis=1).tobytes()
    if predictor == 2:
        unsigned = part.view(f"u{part.itemsize}")
        part = np.concatenate([unsigned[:, :1], np.diff(unsigned, axis=1)], axis=1)
    if predictor == 3:
        big = part.astype(part.dtype.newbyteorder(">")).reshape(len(part), -1, 1)
        planes = big.view(np.uint8).transpose(0, 2, 1).reshape(len(part), -1, part.shape[2])
        return np.concatenate([planes[:, :1], np.diff(planes, axis=1)], axis=1).tobytes()
    return part.astype(part.dtype.newbyteorder(order)).tobytes()


def _file(
    tags: dict[int, tuple[int, list[int]]],
    chunks: list[bytes],
    order: str,
    big: bool,
    next_page: bool,
) -> bytes:
    room, count_code, entry_code = (8, "Q", "HHQ") if big else (4, "I", "HHI")
    head = 16 if big else 8
    data, at = b"", head
    _, offsets = tags.get(324) or tags.get(273) or (0, [0] * len(chunks))
    for index, chunk in enumerate(chunks):
        offsets[index] = at + len(data)
        data += chunk
    start = at + len(data)
    after = start + (8 if big else 2) + len(tags) * (20 if big else 12) + room
    more, entries = b"", b""
    for tag, (kind, numbers) in sorted(tags.items()):
        packed = struct.pack(f"{order}{len(numbers)}{_TYPES[kind]}", *numbers)
        entries += struct.pack(order + entry_code, tag, kind, len(numbers))
        if len(packed) > room:
            entries += struct.pack(order + count_code, after + len(more))
            more += packed
        else:
            entries += packed.ljust(room, b"\0")
    count = struct.pack(order + ("Q" if big else "H"), len(tags))
    following = struct.pack(order + count_code, start if next_page else 0)  # itself, again
    mark = b"II" if order == "<" else b"MM"
    if big:
        header = mark + struct.pack(order + "HHHQ", 43, 8, 0, start)
    else:
        header = mark + struct.pack(order + "HI", 42, start)
    return header + data + count + entries + following + more
