"""Faster decoders of plain 8-bit PNG and JPEG files (extra ``fast-decode``).

Pillow stays the reference: it opens every file and checks its header. These decoders only take
over where the header leaves no doubt about the pixels, and where they fail, Pillow decodes the
file, or refuses it. PNG pixels are bit-identical to Pillow's, JPEG pixels where both use the same
version of libjpeg-turbo; :func:`jpeg_digest` tells.

One kind of damage is accepted here and refused by Pillow: a PNG with intact CRCs around a
compressed stream with a wrong Adler-32 checksum, which no damage in storage or transport gives.
"""

from __future__ import annotations

import functools
import hashlib
import io
import struct
from importlib import metadata, resources
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ImageFile, features
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

_HEADER = 33  # bytes: signature and IHDR
_LAYOUT = slice(24, 29)  # bit depth, colour type, compression, filter, interlace
_MODES = {b"\x08\x00\0\0\0": "mono", b"\x08\x02\0\0\0": "rgb", b"\x08\x06\0\0\0": "rgba"}
_BEFORE = {b"cHRM", b"gAMA", b"iCCP", b"sBIT", b"sRGB", b"pHYs", b"bKGD", b"eXIf", b"cICP"}
_TEXT = {b"tEXt", b"zTXt", b"iTXt", b"tIME"}  # cameras' software writes them on either side
_TEXT_BYTES = 2**16


def load(image: ImageFile.ImageFile, data: bytes) -> NDArray[np.uint8] | None:
    """Decode the pixels of an opened file; None if Pillow must do it.

    ``image``: Pillow's image, opened from ``data`` and not loaded. Returns grey (H, W) or
    RGB (H, W, 3), without alpha. Safe to call from several threads.
    """
    if isinstance(image, PngImageFile):
        return _png(data, (image.size[1], image.size[0]))
    return _jpeg(image, data) if isinstance(image, JpegImageFile) else None


def _png(data: bytes, size: tuple[int, int]) -> NDArray[np.uint8] | None:
    decoder = _png_decoder()
    mode = _MODES.get(data[_LAYOUT])
    if decoder is None or mode is None or not _is_plain_png(data):
        return None
    try:
        values: NDArray[np.uint8] = decoder(data, size, mode)
    except Exception:  # it raises Exception itself
        return None
    if mode == "mono":
        return values[:, :, 0]
    return np.ascontiguousarray(values[:, :, :3]) if mode == "rgba" else values


def _is_plain_png(data: bytes) -> bool:
    """Whether the PNG has only chunks that change no pixel, in an order that leaves no doubt."""
    place, ended, text = _HEADER, False, 0
    while place + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, place)
        if name == b"IEND":
            return ended
        if name in _TEXT:
            text += length
        elif name == b"IDAT":
            ended = True
        elif ended or name not in _BEFORE:
            return False
        if text > _TEXT_BYTES:
            return False
        place += 12 + length
    return False


def _jpeg(image: JpegImageFile, data: bytes) -> NDArray[np.uint8] | None:
    decoder = _jpeg_decoder()
    colours = {"RGB": "RGB", "L": "GRAY"}.get(image.mode)
    if decoder is None or colours is None or "adobe" in image.info:
        return None
    try:
        values: NDArray[np.uint8] = decoder(data, colorspace=colours)
    except Exception:  # whatever it thinks of the file, Pillow decides
        return None
    if values.shape[:2] != (image.size[1], image.size[0]):
        return None
    return values[:, :, 0] if colours == "GRAY" else values


@functools.cache
def _png_decoder() -> Any:
    try:
        import kornia_rs
    except ImportError:
        return None
    return kornia_rs.io.decode_image_png_u8


@functools.cache
def _jpeg_decoder() -> Any:
    try:
        from simplejpeg import decode_jpeg
    except ImportError:
        return None
    return decode_jpeg


def jpeg_decoder() -> str:
    """Return name and version of what decodes plain JPEG files."""
    if _jpeg_decoder() is None:
        return f"Pillow (libjpeg {features.version('jpg') or 'unknown'})"
    return f"simplejpeg {metadata.version('simplejpeg')}"


@functools.cache
def jpeg_digest() -> str:
    """Return the SHA-256 of the pixels of ``probe.jpg`` as this installation decodes them.

    It is smooth noise, 72 x 72 pixels, with subsampled colours. Two installations with the same
    digest decode plain JPEG files to the same pixels.
    """
    data = (resources.files("flawmap.data.image_io") / "probe.jpg").read_bytes()
    image = JpegImageFile(io.BytesIO(data))
    values = load(image, data)
    pixels = np.asarray(image) if values is None else values
    return hashlib.sha256(pixels.tobytes()).hexdigest()
