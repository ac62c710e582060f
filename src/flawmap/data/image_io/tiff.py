"""Reader for TIFF files that Pillow misreads or refuses; unsupported kinds are named in an error.

Pillow reads plain files of up to 8 bits. This module reads deep samples (9 to 64 bits), floats,
planar samples and grey whose 0 is white, in any compression that Pillow's libtiff knows.
Aldus/Adobe, TIFF 6.0, 1992.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from flawmap.data.image_io.tiff_samples import Chunks, read_samples

Kind = Literal["unsigned", "signed", "floating-point"]
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR, LAB = 0, 1, 2, 3, 5, 6, 8
_PHOTOMETRIC = {
    4: "a transparency mask", 9: "ICCLab colour", 10: "ITULab colour",
    32803: "a raw colour mosaic (Bayer)", 32844: "logarithmic luminance",
    32845: "logarithmic colour", 34892: "raw linear colour", 51177: "depth",
}  # fmt: skip
_COMPRESSION = {
    33003: "JPEG 2000", 33004: "JPEG 2000", 33005: "JPEG 2000", 34712: "JPEG 2000", 34887: "LERC",
    22610: "JPEG XR", 34934: "JPEG XR", 34933: "PNG", 50001: "WebP", 34892: "lossy JPEG",
    50002: "JPEG XL", 52546: "JPEG XL",
}  # fmt: skip
_SAMPLES: dict[int, Kind] = {1: "unsigned", 2: "signed", 3: "floating-point", 4: "unsigned"}
_PACKBITS = 32773
_READ_HERE = frozenset(
    {1, 5, 8, _PACKBITS, 32946, 34925, 50000}
)  # none, LZW, Deflate, PackBits, ...
_JPEG = frozenset({6, 7})
_BY_PILLOW = frozenset({2, 3, 4, 32771, *_JPEG})  # CCITT's
_COLOURS = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, PALETTE: 1, CMYK: 4, YCBCR: 3, LAB: 3}
_BIG_BIG = b"MM\0+"  # BigTIFF, the most significant byte first
_EIGHT_BITS_ONLY = {PALETTE: "a palette", YCBCR: "YCbCr colour", LAB: "CIELab colour"}
_MOST_SAMPLES = 1_500_000_000  # bytes of one image's samples
_REDUCED = 1  # NewSubfileType: a smaller version of another page
_WHITES = frozenset(2**bits - 1 for bits in range(8, 17))  # others are this image's own maximum


class UnsupportedError(ValueError):
    """Unsupported kind of image; the message names it and says what to do."""


@dataclass(frozen=True)
class Tiff:
    """The first page of a file, by its tags. `white` is the value of white, if tags state it."""

    width: int
    height: int
    bits: tuple[int, ...]
    kind: Kind
    photometric: int | None
    planar: bool
    compression: int
    predictor: int
    fill_order: int
    extra: tuple[int, ...]
    orientation: int
    inks: int
    subsampling: tuple[int, ...]
    white: int | None
    pages: bool
    big_big: bool
    chunks: Chunks

    @property
    def samples(self) -> int:
        """Number of channels per pixel, including alpha and others."""
        return len(self.bits)

    @property
    def plain(self) -> bool:
        """Whether Pillow reads it correctly."""
        shallow = self.bits[0] == 8 or (self.samples == 1 and self.bits[0] in (1, 2, 4))
        known = self.photometric is not None and not self.big_big
        if self.predictor != 1 and self.compression == _PACKBITS and self.bits[0] == 8:
            return False  # libtiff applies predictors for LZW, Deflate and the like only
        return shallow and self.kind == "unsigned" and not self.planar and known

    @property
    def full_scale(self) -> int:
        """White by the sample format: 1 for floats, 65535 for integers of 16 bits or more."""
        return 1 if self.kind == "floating-point" else 2 ** min(16, self.bits[0]) - 1


def parse(file: IO[bytes]) -> Tiff:
    """Read the tags of the first page. Raises ValueError and others if they are invalid."""
    directory = _directory(file)
    file.seek(0)
    start = file.read(4)
    tags = _Tags(directory)
    bits = tags.all(258) or (1,)
    photometric = tags.all(262)
    samples = tags.one(277, 3 if tags.one(259, 1) in _JPEG and photometric == (6,) else 1)
    if not 1 <= samples <= 64:
        raise ValueError(f"{samples} samples a pixel")
    if len(bits) == 1:
        bits *= samples
    formats = set(tags.all(339) or (1,))
    if len(formats) > 1 or not formats <= set(_SAMPLES):
        raise unsupported("complex samples or samples of several formats")
    width, height = tags.one(256), tags.one(257)
    return Tiff(
        width=width,
        height=height,
        bits=bits[:samples],
        kind=_SAMPLES[formats.pop()],
        photometric=photometric[0] if photometric else None,
        planar=tags.one(284, 1) == 2 and samples > 1,
        compression=tags.one(259, 1),
        predictor=tags.one(317, 1),
        fill_order=tags.one(266, 1),
        extra=tags.all(338),
        orientation=tags.one(274, 1),
        inks=tags.one(332, 1),
        subsampling=tags.all(530) or (2, 2),
        white=_white(tags),
        pages=_has_pages(file, directory),
        big_big=start == _BIG_BIG,
        chunks=_chunks(tags, width, height, start[:1] == b"M"),
    )


def _chunks(tags: _Tags, width: int, height: int, big_endian: bool) -> Chunks:
    if tags.all(324):
        across, down = tags.one(322), tags.one(323)
        return Chunks(tags.all(324), tags.all(325), across, down, True, big_endian)
    rows = min(tags.one(278, height), height)
    return Chunks(tags.all(273), tags.all(279), width, rows, False, big_endian)


def declared_size(file: IO[bytes]) -> tuple[int, int]:
    """Return width and height of the first page. Raises like :func:`parse`."""
    tags = _Tags(_directory(file))
    return tags.one(256), tags.one(257)


def check(tiff: Tiff) -> None:
    """Raise ValueError for a kind that neither Pillow nor this module reads correctly."""
    if tiff.compression not in _READ_HERE | _BY_PILLOW:
        known = _COMPRESSION.get(tiff.compression)
        raise unsupported(f"{known} compression" if known else f"compression {tiff.compression}")
    if tiff.photometric in _PHOTOMETRIC:
        raise unsupported(_PHOTOMETRIC[tiff.photometric])
    colours = _colours(tiff)
    if tiff.samples < colours:
        raise ValueError(f"{tiff.samples} samples a pixel are too few for its colours")
    if tiff.photometric in (WHITE_IS_ZERO, BLACK_IS_ZERO) and tiff.samples > 2:
        raise unsupported(f"{tiff.samples} channels that are no colours")
    if tiff.photometric == CMYK and tiff.inks != 1:
        raise unsupported("inks other than CMYK")
    if tiff.photometric == YCBCR and tiff.compression not in _JPEG and tiff.subsampling != (1, 1):
        raise unsupported("subsampled YCbCr colour outside JPEG")
    if len(set(tiff.bits)) != 1:
        raise unsupported(f"samples of {', '.join(map(str, tiff.bits))} bits")
    if tiff.kind == "signed" and tiff.bits[0] == 8:
        raise unsupported("signed 8-bit samples")
    if not tiff.plain:
        _check_read_here(tiff)


def read(data: bytes, tiff: Tiff) -> NDArray[Any]:
    """Read the samples of the first page, black at 0: grey (H, W), RGB (H, W, 3), CMYK (H, W, 4).

    Returns uint8, uint16, int32, uint32 or float32. Raises ValueError and others if damaged.
    """
    colours = _colours(tiff)
    associated = tiff.extra[:1] == (1,) and tiff.samples > colours
    wanted = colours + associated
    values = read_samples(
        data, tiff.chunks, (tiff.height, tiff.width), tiff.bits[0], tiff.samples, wanted,
        planar=tiff.planar, compression=tiff.compression, predictor=tiff.predictor,
        fill_order=tiff.fill_order, kind=tiff.kind,
    )  # fmt: skip
    if associated:
        values = _divided(values, tiff.full_scale)
    if tiff.photometric == WHITE_IS_ZERO:
        values = (tiff.white or tiff.full_scale) - values
    return values[:, :, 0] if colours == 1 else values


def unsupported(what: str) -> UnsupportedError:
    """Return the error that names the unsupported feature."""
    return UnsupportedError(
        f"TIFF with {what} is not supported; save it as grey or RGB of 8 or 16 bits"
    )


def _check_read_here(tiff: Tiff) -> None:
    bits = tiff.bits[0]
    if tiff.compression in _JPEG:
        what = "samples in planes" if bits == 8 else f"{bits}-bit samples"
        raise unsupported(f"JPEG compression of {what}")
    if tiff.compression not in _READ_HERE:
        raise unsupported(f"compression {tiff.compression} of {bits}-bit samples")
    if tiff.photometric in _EIGHT_BITS_ONLY:
        what = f"{_EIGHT_BITS_ONLY[tiff.photometric]} of {bits} bits"
        raise unsupported(what + (" in planes" if tiff.planar else ""))
    widths: dict[Kind, tuple[int, ...]] = {
        "unsigned": (8, *range(9, 17), 32), "signed": (16, 32), "floating-point": (16, 32, 64),
    }  # fmt: skip
    if bits not in widths[tiff.kind]:
        raise unsupported(f"{tiff.kind} samples of {bits} bits")
    if (
        tiff.photometric == WHITE_IS_ZERO
        and tiff.kind != "floating-point"
        and (tiff.kind == "signed" or bits == 32)
    ):
        raise unsupported(f"{tiff.kind} {bits}-bit grey whose 0 is white")
    if tiff.predictor not in (1, 2, 3) or (tiff.predictor != 1 and bits not in (8, 16, 32, 64)):
        raise unsupported(f"predictor {tiff.predictor} of {bits}-bit samples")
    if tiff.predictor == 3 and tiff.kind != "floating-point":
        raise unsupported("the floating-point predictor on whole numbers")
    if tiff.width * tiff.height * tiff.samples * bits > 8 * _MOST_SAMPLES:
        raise unsupported(f"so many pixels of {tiff.samples} samples of {bits} bits")


def _colours(tiff: Tiff) -> int:
    if tiff.photometric is None:  # a required tag, but missing: assume 0 is black
        return 3 if tiff.samples >= 3 else 1
    if tiff.photometric not in _COLOURS:
        raise unsupported(f"photometric interpretation {tiff.photometric}")
    return _COLOURS[tiff.photometric]


def _divided(values: NDArray[Any], full: int) -> NDArray[Any]:
    """Undo the multiplication of colour by alpha, the last channel; 0 where alpha is 0."""
    alpha = values[:, :, -1:].astype(np.float32)
    with np.errstate(divide="ignore", invalid="ignore"):
        colour = values[:, :, :-1] * (full / alpha)
    colour = np.where(alpha > 0, colour.clip(0, full), 0)
    if values.dtype.kind == "f":
        return colour.astype(np.float32)
    return np.rint(colour).astype(values.dtype)


class _Tags:
    """Integer tags of a directory."""

    def __init__(self, directory: ImageFileDirectory_v2) -> None:
        self._directory = directory

    def all(self, tag: int) -> tuple[int, ...]:
        value = self._directory.get(tag, ())
        values = value if isinstance(value, tuple) else (value,)
        if not all(isinstance(value, int) for value in values):
            raise ValueError(f"tag {tag} holds no whole numbers")
        return values

    def one(self, tag: int, default: int | None = None) -> int:
        values = self.all(tag)
        if not values:
            if default is None:
                raise ValueError(f"tag {tag} is missing")
            return default
        return values[0]


def _white(tags: _Tags) -> int | None:
    """White by the file's own tags: MaxSampleValue, SMaxSampleValue, or DNG's WhiteLevel."""
    for tag in (50717, 341, 281):
        try:
            values = tags.all(tag)
        except ValueError:
            continue
        if values and ((tag == 50717 and 0 < values[0] < 65536) or values[0] in _WHITES):
            return values[0]
    return None


def _directory(file: IO[bytes], at: int | None = None) -> ImageFileDirectory_v2:
    """Read the first directory of tags, or the one at offset `at`."""
    file.seek(0)
    header = file.read(16)
    big_big = header[:4] == _BIG_BIG  # Pillow mistakes it for classic TIFF
    directory = ImageFileDirectory_v2(header if b"+" in header[2:3] else header[:8])
    if big_big:
        directory._bigtiff = True
        (directory.next,) = struct.unpack(">Q", header[8:16])
    file.seek(directory.next if at is None else at)
    directory.load(file)
    return directory


def _has_pages(file: IO[bytes], first: ImageFileDirectory_v2) -> bool:
    """Whether another full-size image follows."""
    at = first.next
    for _ in range(16):
        if at == 0:
            return False
        try:
            following = _directory(file, at)
            _Tags(following).one(256)
            if not _Tags(following).one(254, 0) & _REDUCED:
                return True
        except Exception:
            return False
        at = following.next
    return False
