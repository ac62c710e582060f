"""Decoding of one image file: the only place where flawmap decodes images.

Every file is untrusted. Its size in bytes is capped before it is read, its pixels before they are
decoded, and whatever a decoder raises becomes one `ImageError` that names the file.
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
from dataclasses import dataclass
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

from flawmap.data.image_io import fast, tiff
from flawmap.data.image_io.deep_png import is_deep_colour, read_deep
from flawmap.data.image_io.notes import Kind, note
from flawmap.data.image_io.orientation import ORIENTATION, exif_orientation, upright, upright_array
from flawmap.data.image_io.white_level import FULL_16, to_bytes
from flawmap.errors import FlawmapError
from flawmap.utils.printable import printable

Source = str | os.PathLike[str] | bytes

MAX_BYTES = 256 * 2**20
# The largest area-scan cameras give 151 megapixels, and beyond 178.9 Pillow itself refuses TIFF
# and WebP. Decoding that many briefly takes about 1.5 GB of memory; for WebP, 4 GB.
MAX_PIXELS = 178_000_000
# A file above both limits is not a camera image, whose noise alone takes more bytes, but a
# decompression bomb: 34 bytes of WebP hold 177 megapixels.
_PLAUSIBLE_PIXELS = 32_000_000
_PIXELS_A_BYTE = 100


class ImageError(FlawmapError):
    """An image that cannot be read, decoded, judged or written; the message names the file."""


class _Jpeg(JpegImageFile):
    def _read_dpi_from_exif(self) -> None:
        """Do nothing: the original parses EXIF and prints a warning for every oddity in it."""


# Files are opened by class rather than through `Image.open`, which warns of a large image before
# its size can be queried and whose limit is a process-wide setting.
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
# Unsupported image formats, to name them in the error message.
_NOT_READ = (
    (b"GIF8", "GIF"),
    (b"8BPS", "Photoshop"),
    (b"%PDF", "PDF"),
    (b"ftyphei", "HEIC"),
    (b"ftypmif1", "HEIC"),
    (b"ftypavif", "AVIF"),
    (b"jP  ", "JPEG 2000"),
    (b"SIMPLE  =", "FITS"),
    (b"v/1\x01", "OpenEXR"),
)
_WARNINGS_LOCK = threading.Lock()


@dataclass(frozen=True)
class Decoded:
    """An image as it was stored, upright.

    `pixels`: a Pillow image of at most 8 bits per channel, or values, grey (H, W) or RGB
    (H, W, 3): deep ones, or uint8 from a fast decoder. `full_scale`: white by the format; 65535
    for 16 bits and more, 1 for floats.
    `tagged`: white by the file's own tags, for values whose full scale is 65535.
    """

    pixels: Image.Image | NDArray[Any]
    full_scale: int = 255
    tagged: int | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        if isinstance(self.pixels, Image.Image):
            return self.pixels.size[1], self.pixels.size[0]
        return self.pixels.shape[0], self.pixels.shape[1]


def read_file(path: str | os.PathLike[str], *, max_bytes: int = MAX_BYTES) -> bytes:
    """Read the whole content of a regular file; refuse it unread if it exceeds `max_bytes`.

    Raises `ImageError` if it is missing, not a file, not permitted or too large.
    """
    try:
        found = Path(path).stat()
        if not stat.S_ISREG(found.st_mode):
            what = "a folder" if stat.S_ISDIR(found.st_mode) else "not a regular file"
            raise ImageError(f"{printable(path)}: {what}; give an image file")
        _check_bytes(found.st_size, printable(path), max_bytes)
        with Path(path).open("rb") as file:
            return file.read(max_bytes + 1)
    except (OSError, ValueError) as error:
        raise ImageError(
            f"{printable(path)}: cannot be read ({_reason(error)}); check its name and permissions"
        ) from error


def declared_pixels(path: str | os.PathLike[str]) -> int:
    """Number of pixels by a file's header; 0 if it is unreadable, which decoding will report."""
    try:
        if not stat.S_ISREG(Path(path).stat().st_mode):
            return 0
        with Path(path).open("rb") as file:
            kind = _kind(start := file.read(26), os.fspath(path))
            if kind is PngImageFile:  # without Pillow, which warns of animated ones
                return math.prod(struct.unpack_from(">II", start, 16))
            file.seek(0)
            if kind is not TiffImageFile:
                return math.prod(kind(file).size)
            with _quiet():
                return math.prod(tiff.declared_size(file))
    except Exception:
        return 0


def stated_size(path: str | os.PathLike[str]) -> tuple[int, int] | None:
    """Return the upright (height, width) by a file's header; None if it cannot be read."""
    try:
        if not stat.S_ISREG(Path(path).stat().st_mode):
            return None
        with Path(path).open("rb") as file, _quiet():
            kind = _kind(file.read(26), os.fspath(path))
            file.seek(0)
            if kind is TiffImageFile:
                page = tiff.parse(file)
                width, height, orientation = page.width, page.height, page.orientation
            else:
                image = kind(file)
                width, height = image.size
                orientation = exif_orientation(image.info.get("exif", b""))
    except Exception:
        return None
    return (width, height) if orientation >= 5 else (height, width)


def is_deep(path: str | os.PathLike[str]) -> bool:
    """Whether a file's header states values of 16 bits or more; False if it cannot be read."""
    try:
        if not stat.S_ISREG(Path(path).stat().st_mode):
            return False
        with Path(path).open("rb") as file:
            kind = _kind(start := file.read(26), os.fspath(path))
            if kind is PngImageFile:
                return start[24] == 16
            if kind is not TiffImageFile:
                return False
            with _quiet():
                return tiff.parse(file).full_scale == FULL_16
    except Exception:
        return False


def decode(
    source: Source,
    name: str,
    max_bytes: int = MAX_BYTES,
    max_pixels: int = MAX_PIXELS,
    check_size: Callable[[tuple[int, int]], None] | None = None,
    *,
    deep_colour: bool = True,
) -> Decoded:
    """Decode a file or its bytes; of several pages or frames, the first.

    Without `deep_colour`, 16-bit colour PNG is decoded to 8 bits, but keeps its alpha.

    `check_size` gets the stored (width, height) before pixels are decoded and raises if it is
    wrong; without it, a file too small for its number of pixels is refused. Raises `ImageError`.
    """
    data = source if isinstance(source, bytes) else read_file(source, max_bytes=max_bytes)
    _check_bytes(len(data), name, max_bytes)
    kind = _kind(data, name)

    def check(size: tuple[int, int]) -> None:
        _check_pixels(size, name, max_pixels)
        if check_size is None:
            _check_plausible(size, len(data), name)
        else:
            check_size(size)

    with decoding(name):
        if kind is TiffImageFile:
            found, pages = _decode_tiff(data, kind, check)
        else:
            found, pages = _decode_other(data, kind, check, deep_colour)
    if pages:
        note(Kind.PAGES, name)
    return found


def decode_image(
    source: Source,
    name: str,
    max_bytes: int,
    max_pixels: int,
    check_size: Callable[[tuple[int, int]], None] | None = None,
) -> tuple[Image.Image, int]:
    """Decode a mask like :func:`decode`: return a Pillow image and the value of its white.

    Deep values are reduced to one channel, the highest of each pixel.
    """
    found = decode(source, name, max_bytes, max_pixels, check_size, deep_colour=False)
    if isinstance(found.pixels, Image.Image):
        return found.pixels, found.full_scale
    values = found.pixels if found.pixels.ndim == 2 else found.pixels.max(axis=2)
    if values.dtype == np.uint32:
        values = np.minimum(values, 2**31 - 1).astype(np.int32)
    return Image.fromarray(np.ascontiguousarray(values)), found.tagged or found.full_scale


_Check = Callable[[tuple[int, int]], None]
_Kind = type[ImageFile.ImageFile]


def _decode_tiff(data: bytes, kind: _Kind, check: _Check) -> tuple[Decoded, bool]:
    with _quiet():
        page = tiff.parse(io.BytesIO(data))
    check((page.width, page.height))
    tiff.check(page)
    if page.plain:
        with _quiet():
            image = kind(io.BytesIO(data))
            image.load()  # most versions of Pillow rotate it here
            turned = upright(image, image.getexif().get(ORIENTATION, 1))
        return Decoded(turned), page.pages
    values = upright_array(tiff.read(data, page), page.orientation)
    if page.photometric == tiff.CMYK:
        eight = values if values.dtype == np.uint8 else to_bytes(values, page.full_scale)
        return Decoded(Image.fromarray(np.ascontiguousarray(eight), "CMYK")), page.pages
    if values.dtype == np.uint8:
        return Decoded(Image.fromarray(np.ascontiguousarray(values))), page.pages
    tagged = page.white if page.full_scale == FULL_16 else None
    return Decoded(values, page.full_scale, tagged), page.pages


def _decode_other(data: bytes, kind: _Kind, check: _Check, deep: bool) -> tuple[Decoded, bool]:
    talks = kind is PngImageFile and b"acTL" in data
    with _quiet() if talks else nullcontext():
        try:
            image = kind(io.BytesIO(data))
        except SyntaxError as error:
            if kind is _Jpeg and "-bit layers" in str(error):
                raise tiff.UnsupportedError(
                    "JPEG of more than 8 bits is not supported; save it as PNG or TIFF of 16 bits"
                ) from error
            raise
        check(image.size)
        pages = getattr(image, "n_frames", 1) > 1 or "mp" in image.info
        if deep and kind is PngImageFile and is_deep_colour(data):
            values, exif = read_deep(data)
            return Decoded(upright_array(values, exif_orientation(exif)), FULL_16), pages
        eight = fast.load(image, data) if deep else None  # masks keep palettes and alpha
        if eight is not None:
            orientation = exif_orientation(image.info.get("exif", b""))
            return Decoded(upright_array(eight, orientation)), pages
        image.load()
        orientation = exif_orientation(image.info.get("exif", b""))  # it may follow the pixels
    turned = upright(image, orientation)
    if not is_wide(turned):
        return Decoded(turned), pages
    return Decoded(np.asarray(turned), FULL_16), pages


def _kind(data: bytes, name: str) -> type[ImageFile.ImageFile]:
    if not data:
        raise ImageError(f"{name}: the file is empty (0 bytes); copy it again or remove it")
    for magic, kind in _KINDS:
        if data.startswith(magic) and (magic != b"RIFF" or data[8:12] == b"WEBP"):
            return kind
    other = next((other for magic, other in _NOT_READ if magic in data[:16]), None)
    what = f"is of the kind {other}" if other else "not an image, whatever its name says"
    raise ImageError(f"{name}: {what}; save it as PNG, JPEG, BMP, TIFF or WebP")


@contextmanager
def decoding(name: str) -> Iterator[None]:
    """Convert whatever a hostile file makes a decoder raise to an `ImageError`."""
    try:
        yield
    except FlawmapError:
        raise
    except tiff.UnsupportedError as error:
        raise ImageError(f"{name}: {error}") from error
    except Exception as error:
        raise ImageError(
            f"{name}: damaged or of an unknown kind ({_reason(error)}); save it again, or remove it"
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide Pillow's warnings on TIFF and animated PNG; one thread at a time, as warning filters
    are process-wide."""
    with _WARNINGS_LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def is_wide(image: Image.Image) -> bool:
    """Whether the image is grey of more than 8 bits, which Pillow would clip rather than scale."""
    return image.mode[0] in "IF"


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
            f"{name}: {size[0]} x {size[1]} pixels in {count:,} bytes are no camera image; "
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
    return "the image data" if isinstance(source, bytes) else printable(os.fspath(source))


def _reason(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return (text.strip().splitlines() or [type(error).__name__])[0][:120]
