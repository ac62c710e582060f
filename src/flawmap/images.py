"""Decoding, resizing and writing of images: the only place where flawmap decodes one.

Every file is untrusted. Its size in bytes is capped before it is read, its pixels before they are
decoded, and whatever a decoder raises comes out as one `ImageError` that names the file.
"""

from __future__ import annotations

import io
import math
import os
import stat
import struct
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from flawmap.errors import FlawmapError, UsageError
from flawmap.files import replacing

Source = str | os.PathLike[str] | bytes

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})
MAX_BYTES = 256 * 2**20
# The largest area-scan cameras give 151 megapixels, and beyond 178.9 Pillow itself refuses TIFF
# and WebP. Decoding so many takes about 1.5 GB for a moment; of WebP, 4 GB.
MAX_PIXELS = 178_000_000
# More pixels than the first, and more of them to a byte than the second, are no photograph, whose
# noise alone takes more, but a file made small to be large: 34 bytes of WebP hold 177 megapixels.
_PLAUSIBLE_PIXELS = 32_000_000
_PIXELS_A_BYTE = 100

_ORIENTATION = 0x0112  # a tag of EXIF and of TIFF
_BITS_PER_SAMPLE = 0x0102  # a tag of TIFF
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_STRIP = 2**23  # pixels turned to RGB at once


class ImageError(FlawmapError):
    """An image that cannot be read, decoded or written; the message names the file."""


class _Jpeg(JpegImageFile):
    def _read_dpi_from_exif(self) -> None:
        """Not wanted: it parses EXIF, and warns aloud of every oddity in it."""


# Opened by class rather than through `Image.open`: that warns of a large image before its size
# can be asked, and its own limit is a setting of the whole process.
_KINDS: tuple[tuple[bytes, type[ImageFile.ImageFile]], ...] = (
    (b"\x89PNG\r\n\x1a\n", PngImageFile),
    (b"\xff\xd8\xff", _Jpeg),
    (b"BM", BmpImageFile),
    (b"II*\0", TiffImageFile),
    (b"MM\0*", TiffImageFile),
    (b"II+\0", TiffImageFile),
    (b"MM\0+", TiffImageFile),
    (b"RIFF", WebPImageFile),
)
_WARNINGS_LOCK = threading.Lock()


def is_image_name(path: str | os.PathLike[str]) -> bool:
    """Whether the name ends like an image's, in capitals or not."""
    return Path(path).suffix.lower() in IMAGE_SUFFIXES


def read_file(path: str | os.PathLike[str], *, max_bytes: int = MAX_BYTES) -> bytes:
    """The whole content of a regular file, refused unread where it is above `max_bytes`.

    Raises `ImageError`: missing, not a file, not permitted, too large.
    """
    try:
        found = Path(path).stat()
        if not stat.S_ISREG(found.st_mode):
            what = "a folder" if stat.S_ISDIR(found.st_mode) else "not a regular file"
            raise ImageError(f"{path}: {what}; give an image file")
        _check_bytes(found.st_size, os.fspath(path), max_bytes)
        with Path(path).open("rb") as file:
            return file.read(max_bytes + 1)
    except (OSError, ValueError) as error:
        raise ImageError(
            f"{path}: cannot be read ({_reason(error)}); check its name and permissions"
        ) from error


def declared_pixels(path: str | os.PathLike[str]) -> int:
    """How many pixels a file's header states; 0 where it cannot be read, as decoding will say."""
    try:
        if not stat.S_ISREG(Path(path).stat().st_mode):
            return 0
        with Path(path).open("rb") as file:
            kind = _kind(start := file.read(26), os.fspath(path))
            if kind is PngImageFile:  # without Pillow, which warns of animated ones
                return math.prod(struct.unpack_from(">II", start, 16))
            file.seek(0)
            with _quiet() if kind is TiffImageFile else nullcontext():
                return math.prod(kind(file).size)
    except Exception:
        return 0


def read_image(
    source: Source,
    *,
    name: str | None = None,
    max_bytes: int = MAX_BYTES,
    max_pixels: int = MAX_PIXELS,
) -> NDArray[np.uint8]:
    """Decode a file, or its bytes, to RGB.

    PNG, JPEG, BMP, TIFF or WebP, told by content and not by name; the first page of several, turned
    upright by its EXIF orientation. Colour profiles are not applied.

    - Alpha is dropped and the stored colour kept: cameras' four-channel files often hold an alpha
      of 0 that means nothing, and blending would blank the part and hide its flaws.
    - Grey of 16 bits is divided by 257, of 12 bits (where the header says so) likewise by its full
      scale; never stretched by what one image holds, so that images stay comparable. 12-bit values
      in a 16-bit file therefore come out dark: multiply by 16 when saving. Whole numbers of 32
      bits count as 16-bit values and must fit. Colour of 16 bits keeps its high byte.
    - Floating-point grey must be finite and within 0..1, which becomes 0..255.

    `name` is what a message calls the image; the path by default.
    Returns uint8 (H, W, 3). Raises `ImageError`. Safe to call from several threads.
    """
    name = name or source_name(source)
    image, full_scale = decode_image(source, name, max_bytes, max_pixels)
    with decoding(name):
        if is_wide(image):
            return _three(_grey_bytes(np.asarray(image), full_scale, name))
        return rgb_pixels(image)


def read_scaled(
    source: Source, scale: Callable[[tuple[int, int]], tuple[int, int]]
) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """As `read_image` and `resize_image` one after the other, with fewer copies on the way.

    `scale` tells from an image's (height, width) the size that is wanted. Returns uint8 (h, w, 3)
    of that size, and the image's own. Raises `ImageError`.
    """
    name = source_name(source)
    image, full_scale = decode_image(source, name, MAX_BYTES, MAX_PIXELS)
    own = image.size[1], image.size[0]
    size = scale(own)
    with decoding(name):
        if is_wide(image):
            grey = _grey_bytes(np.asarray(image), full_scale, name)
            return resize_image(_three(grey), size), own
        if size == own:
            return rgb_pixels(image), own
        if image.mode == "L":  # one channel is resized as fast as three are slow
            return _three(np.asarray(resized(image, size))), own
        return np.array(resized(as_rgb(image), size)), own


def _three(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.repeat(grey[:, :, None], 3, axis=2)


def resize_image(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize uint8 (H, W, 3) bilinearly to `size`, (height, width); antialiased where it shrinks.

    Returns uint8 (h, w, 3); the very array given where it fits already.
    """
    if image.shape[:2] == tuple(size):
        return image
    return np.array(resized(Image.fromarray(image), size))


def encode_png(array: NDArray[Any]) -> bytes:
    """A PNG file of uint8 (H, W), uint8 (H, W, 3) or uint16 (H, W), lossless."""
    return _encode(array, "PNG")


def encode_jpeg(array: NDArray[np.uint8], quality: int = 90) -> bytes:
    """A JPEG file of uint8 (H, W) or (H, W, 3); `quality` 1..95."""
    if array.dtype != np.uint8:
        raise UsageError(f"JPEG holds uint8, not {array.dtype}; write a PNG")
    return _encode(array, "JPEG", quality=quality)


def write_png(path: str | os.PathLike[str], array: NDArray[Any]) -> None:
    """Write uint8 (H, W), uint8 (H, W, 3) or uint16 (H, W) as PNG, whole or not at all.

    Raises `FlawmapError` where the folder is missing, full or not writable.
    """
    data = encode_png(array)
    with replacing(Path(path)) as temporary:
        temporary.write_bytes(data)


def exif_orientation(exif: bytes) -> int:
    """The orientation, 1..8, that an EXIF block states; 1 where it states none, or nonsense."""
    block = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(order + "I", block, 4)
        (count,) = struct.unpack_from(order + "H", block, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            tag, _, _, value = struct.unpack_from(order + "HHIH", block, entry)
            if tag == _ORIENTATION:
                return value if 1 <= value <= 8 else 1
    except struct.error:  # it points outside itself
        pass
    return 1


def decode_image(
    source: Source,
    name: str,
    max_bytes: int,
    max_pixels: int,
    check_size: Callable[[tuple[int, int]], None] | None = None,
) -> tuple[Image.Image, int]:
    """The decoded image, upright and in the mode it was stored in, and the value of its white.

    `check_size` takes the stored (width, height) before pixels are decoded and raises where it is
    wrong; without one, a file too small for its number of pixels is refused.
    """
    data = source if isinstance(source, bytes) else read_file(source, max_bytes=max_bytes)
    _check_bytes(len(data), name, max_bytes)
    kind = _kind(data, name)
    talks = kind is TiffImageFile or (kind is PngImageFile and b"acTL" in data)
    with decoding(name), _quiet() if talks else nullcontext():
        image = kind(io.BytesIO(data))
        _check_pixels(image.size, name, max_pixels)
        if check_size is None:
            _check_plausible(image.size, len(data), name)
        else:
            check_size(image.size)
        image.load()
        return _upright(image), _full_scale(image)


def _kind(data: bytes, name: str) -> type[ImageFile.ImageFile]:
    if not data:
        raise ImageError(f"{name}: the file is empty (0 bytes); copy it again or remove it")
    for magic, kind in _KINDS:
        if data.startswith(magic) and (magic != b"RIFF" or data[8:12] == b"WEBP"):
            return kind
    raise ImageError(
        f"{name}: not an image, whatever its name says; save it as PNG, JPEG, BMP, TIFF or WebP"
    )


@contextmanager
def decoding(name: str) -> Iterator[None]:
    """Whatever a hostile file makes a decoder raise, as an `ImageError`."""
    try:
        yield
    except FlawmapError:
        raise
    except Exception as error:
        raise ImageError(
            f"{name}: damaged or of an unknown kind ({_reason(error)}); save it again, or remove it"
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Hides what Pillow has to say of TIFF and of animated PNG; one at a time, as filters are the
    process's."""
    with _WARNINGS_LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _upright(image: ImageFile.ImageFile) -> Image.Image:
    if isinstance(image, TiffImageFile):  # most versions of Pillow have turned it on loading
        orientation = image.getexif().get(_ORIENTATION, 1)
    else:
        orientation = exif_orientation(image.info.get("exif", b""))
    turn = _UPRIGHT.get(orientation)
    return image if turn is None else image.transpose(turn)


def is_wide(image: Image.Image) -> bool:
    """Grey of more than 8 bits, which Pillow would clip rather than scale."""
    return image.mode[0] in "IF"


def as_rgb(image: Image.Image) -> Image.Image:
    image.info.pop("transparency", None)  # or a transparent colour would be blended in
    if image.mode in ("La", "RGBa"):  # colour multiplied by alpha: only these convert from it
        image = image.convert(image.mode.upper())
    return image if image.mode == "RGB" else image.convert("RGB")


def rgb_pixels(image: Image.Image) -> NDArray[np.uint8]:
    """The image as RGB, in strips, so that a large one is not in memory thrice."""
    width, height = image.size
    rows = max(1, _STRIP // width)
    if height <= rows:
        return np.array(as_rgb(image))
    found = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, rows):
        strip = image.crop((0, top, width, min(height, top + rows)))
        found[top : top + rows] = np.asarray(as_rgb(strip))
    return found


def _full_scale(image: Image.Image) -> int:
    if not is_wide(image):
        return 255
    if image.mode == "F":
        return 1
    twelve = isinstance(image, TiffImageFile) and image.tag_v2.get(_BITS_PER_SAMPLE) == (12,)
    return 4095 if twelve else 65535


def _grey_bytes(values: NDArray[Any], full: int, name: str) -> NDArray[np.uint8]:
    check_range(values, full, name)
    if full == 1:
        return np.rint(values * 255.0).astype(np.uint8)
    return ((values.astype(np.uint32) * 255 + full // 2) // full).astype(np.uint8)


def resized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Scale along rows, then along columns: left to itself, Pillow from 13 on takes columns first
    for some shapes, which moves bytes by one and would tie scores to Pillow's version.
    """
    height, width = size
    if height < 1 or width < 1:
        raise UsageError(f"an image cannot be {height} pixels high and {width} wide")
    across = image.resize((width, image.height), Image.Resampling.BILINEAR)
    return across.resize((width, height), Image.Resampling.BILINEAR)


def _encode(array: NDArray[Any], kind: str, **options: int) -> bytes:
    colour = array.ndim == 3 and array.shape[2] == 3 and array.dtype == np.uint8
    grey = array.ndim == 2 and array.dtype in (np.uint8, np.uint16)
    if not (colour or grey) or array.size == 0:
        raise UsageError(f"cannot write {array.dtype} {array.shape} as {kind}; see encode_png")
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, kind, **options)
    return buffer.getvalue()


def _check_bytes(count: int, name: str, limit: int) -> None:
    if count > limit:
        raise ImageError(
            f"{name}: {count / 2**20:,.0f} MiB are more than the {limit / 2**20:,.0f} MiB allowed; "
            "save it compressed, or cut it into tiles"
        )


def _check_pixels(size: tuple[int, int], name: str, limit: int) -> None:
    if size[0] * size[1] > limit:
        raise ImageError(
            f"{name}: {size[0]} x {size[1]} pixels are more than the {limit / 1e6:,.0f} million "
            "allowed; shrink it, or cut it into tiles"
        )


def _check_plausible(size: tuple[int, int], count: int, name: str) -> None:
    pixels = size[0] * size[1]
    if pixels > _PLAUSIBLE_PIXELS and pixels > _PIXELS_A_BYTE * count:
        raise ImageError(
            f"{name}: {size[0]} x {size[1]} pixels in {count:,} bytes are no photograph; "
            "save it uncompressed if it is one"
        )


def check_range(values: NDArray[Any], full: int, name: str) -> None:
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= full):  # written so that NaN fails it
        raise ImageError(
            f"{name}: values {low:g} to {high:g} lie outside 0..{full}, the scale of "
            f"{'floating-point' if full == 1 else 'deep'} grey; scale them and save it again"
        )


def source_name(source: Source) -> str:
    return "the image data" if isinstance(source, bytes) else os.fspath(source)


def _reason(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return (text.strip().splitlines() or [type(error).__name__])[0][:120]
