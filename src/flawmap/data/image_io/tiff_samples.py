"""Samples of a TIFF page from its strips or tiles: decompression, predictors, unpacking."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL.TiffImagePlugin import TiffImageFile

_DEFLATE = frozenset({8, 32946})
_SMALL = 2**26  # bytes that tiles may hold beyond their image
_UNPACKED_ROWS = 2**22  # approximate number of bits unpacked at once


@dataclass(frozen=True)
class Chunks:
    """Positions in the file of strips or tiles of `width` x `height` pixels.

    Strips are as wide as the image, and the last one ends with it; all tiles have one size.
    """

    offsets: tuple[int, ...]
    counts: tuple[int, ...]
    width: int
    height: int
    tiled: bool
    big_endian: bool


def read_samples(
    data: bytes,
    chunks: Chunks,
    size: tuple[int, int],
    bits: int,
    samples: int,
    wanted: int,
    *,
    planar: bool,
    compression: int,
    predictor: int,
    fill_order: int,
    kind: str,
) -> NDArray[Any]:
    """Read the first `wanted` samples of each pixel, (H, W, wanted), in native byte order.

    Raises ValueError or OSError if the file does not hold them.
    """
    height, width = size
    if min(height, width, chunks.width, chunks.height) < 1:
        raise ValueError("it has no pixels")
    down, across = -(-height // chunks.height), -(-width // chunks.width)
    each = down * across
    planes = samples if planar else 1
    if len(chunks.offsets) < each * planes:
        raise ValueError(f"{len(chunks.offsets)} of {each * planes} strips or tiles are there")
    interleaved = 1 if planar else samples
    decoded = []
    for plane in range(min(planes, wanted)):
        at = range(plane * each, (plane + 1) * each)
        raw = _bytes(data, chunks, at, size, bits * interleaved, compression, fill_order)
        values = _values(raw, chunks, bits, interleaved, predictor, kind)
        decoded.append(_assembled(values, chunks, size)[:, :, :wanted])
    return decoded[0] if len(decoded) == 1 else np.concatenate(decoded, axis=2)


def _bytes(
    data: bytes,
    chunks: Chunks,
    at: range,
    size: tuple[int, int],
    pixel_bits: int,
    compression: int,
    fill_order: int,
) -> NDArray[np.uint8]:
    """Return decompressed rows (N, bytes per row), chunk after chunk."""
    height, width = size
    row = -(-chunks.width * pixel_bits // 8)
    rows = len(at) * chunks.height if chunks.tiled else height
    if rows * row > 4 * (height * -(-width * pixel_bits // 8)) + _SMALL:
        raise ValueError("its tiles are far larger than the image")
    lengths = [min(chunks.height, rows - i * chunks.height) * row for i in range(len(at))]
    if compression == 1:
        counts = lengths
    else:
        counts = [chunks.counts[i] if i < len(chunks.counts) else 0 for i in at]
    parts = [
        memoryview(data)[chunks.offsets[i] : chunks.offsets[i] + count]
        for i, count in zip(at, counts, strict=True)
    ]
    if compression == 1 and fill_order == 1:
        if any(len(part) < count for part, count in zip(parts, counts, strict=True)):
            raise ValueError("the file ends before its samples")
        whole = parts[0] if len(parts) == 1 else b"".join(parts)
        return np.frombuffer(whole, np.uint8).reshape(rows, row)
    if compression in _DEFLATE and fill_order == 1:
        return np.frombuffer(_inflated(parts, lengths), np.uint8).reshape(rows, row)
    return _decompressed(parts, (rows, row), chunks.height, compression, fill_order)


def _inflated(parts: list[memoryview], lengths: list[int]) -> bytes:
    """Decompress without libtiff, which prints errors for damaged files."""
    inflated = []
    for part, length in zip(parts, lengths, strict=True):
        inflated.append(zlib.decompressobj().decompress(part, length))
        if len(inflated[-1]) < length:
            raise ValueError("a strip or tile ends before its samples")
    return b"".join(inflated)


def _decompressed(
    parts: list[memoryview], shape: tuple[int, int], rows: int, compression: int, fill_order: int
) -> NDArray[np.uint8]:
    """Decompress by libtiff, which gets the strips as those of an 8-bit grey image."""
    at, offsets = 8, []
    for part in parts:
        offsets.append(at)
        at += len(part)
    lists = struct.pack(f"<{len(parts)}I", *offsets)
    counts = struct.pack(f"<{len(parts)}I", *map(len, parts))
    single = len(parts) == 1
    tags = {
        256: shape[1], 257: shape[0], 258: 8, 259: compression, 262: 1, 266: fill_order,
        273: offsets[0] if single else at, 277: 1, 278: rows,
        279: len(parts[0]) if single else at + len(lists), 284: 1,
    }  # fmt: skip
    entries = b"".join(
        struct.pack("<HHII", tag, 4, len(parts) if tag in (273, 279) else 1, value)
        for tag, value in tags.items()
    )
    directory = struct.pack("<H", len(tags)) + entries + bytes(4)
    start = struct.pack("<I", at + len(lists) + len(counts))
    image = TiffImageFile(io.BytesIO(b"".join([b"II*\0", start, *parts, lists, counts, directory])))
    image.load()
    return np.asarray(image)


def _values(
    raw: NDArray[np.uint8], chunks: Chunks, bits: int, samples: int, predictor: int, kind: str
) -> NDArray[Any]:
    """Return rows of samples (N, chunk width, samples)."""
    shape = (len(raw), chunks.width, samples)
    if predictor == 3:
        return _float_predicted(raw, shape, bits)
    if bits not in (8, 16, 32, 64):
        return _unpacked(raw, bits, shape[1] * samples).reshape(shape)
    order = ">" if chunks.big_endian else "<"
    unsigned = np.dtype(f"{order}u{bits // 8}")
    values = raw.view(unsigned).reshape(shape)
    if predictor == 2:
        values = np.add.accumulate(values, axis=1, dtype=unsigned.newbyteorder("="))
    values = values.astype(unsigned.newbyteorder("="), copy=False)
    if kind == "floating-point":
        return values.view(f"f{bits // 8}").astype(np.float32)
    if kind == "signed":
        return values.view(f"i{bits // 8}").astype(np.int32)
    return values


def _float_predicted(
    raw: NDArray[np.uint8], shape: tuple[int, int, int], bits: int
) -> NDArray[np.float32]:
    """Undo predictor 3: bytes grouped by significance, highest first, stored as differences."""
    rows, width, samples = shape
    steps = raw.reshape(rows, -1, samples)
    planes = np.add.accumulate(steps, axis=1, dtype=np.uint8).reshape(rows, bits // 8, -1)
    together = np.ascontiguousarray(planes.transpose(0, 2, 1))
    values: NDArray[Any] = together.view(f">f{bits // 8}").reshape(rows, width, samples)
    return values.astype(np.float32)


def _unpacked(raw: NDArray[np.uint8], bits: int, count: int) -> NDArray[np.uint16]:
    """Unpack `count` samples per row of 9 to 15 bits each, highest bit first."""
    unpacked = np.empty((len(raw), count), np.uint16)
    step = max(1, _UNPACKED_ROWS // max(1, count * bits))
    weights = (1 << np.arange(bits - 1, -1, -1)).astype(np.float32)
    for top in range(0, len(raw), step):
        rows = np.unpackbits(raw[top : top + step], axis=1, count=count * bits)
        unpacked[top : top + step] = rows.reshape(-1, count, bits).astype(np.float32) @ weights
    return unpacked


def _assembled(values: NDArray[Any], chunks: Chunks, size: tuple[int, int]) -> NDArray[Any]:
    """Assemble the image: strips are in order already; tiles are joined and cropped."""
    height, width = size
    across = -(-width // chunks.width)
    if across > 1:
        tiles = values.reshape(-1, across, chunks.height, chunks.width, values.shape[2])
        values = tiles.swapaxes(1, 2).reshape(-1, across * chunks.width, values.shape[2])
    return values[:height, :width]
