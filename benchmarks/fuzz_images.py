"""Images for the fuzzing campaign: a seed of every kind that flawmap decodes, and mutations.

Case ``n`` of seed ``s`` is a pure function of (s, n), so that two numbers identify a finding.
"""

from __future__ import annotations

import functools
import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.random import Generator
from PIL import Image

EXTREMES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
SIDES = (0, 1, 3, 64, 4096, 13_300, 30_000, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)
MAGICS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM", b"II*\0", b"MM\0*", b"II+\0", b"GIF89a")
PNG = MAGICS[0]
Mutation = Callable[[bytearray, Generator], bytes | bytearray]


def exif_block(tag: int, kind: int, count: int, value: int, order: str = "<") -> bytes:
    """Return an EXIF block of one entry."""
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    entry = struct.pack(order + "HHHII", 1, tag, kind, count, value)
    return b"Exif\0\0" + head + entry + bytes(4)


def png_chunk(tag: bytes, body: bytes) -> bytes:
    """Return a PNG chunk with its length and CRC."""
    return struct.pack(">I", len(body)) + tag + body + struct.pack(">I", zlib.crc32(tag + body))


def png(width: int, height: int, bits: int, colour: int, raw: bytes, interlace: int = 0) -> bytes:
    """Return a PNG of these filtered rows."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlace)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(raw)), (b"IEND", b"")]
    return PNG + b"".join(png_chunk(tag, body) for tag, body in chunks)


def tiff(tags: dict[int, int], pixels: bytes) -> bytes:
    """Return a TIFF whose tags hold one number each, with its pixels from byte 8 on."""
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, tags[tag]) for tag in sorted(tags))
    directory = struct.pack("<H", len(tags)) + entries + bytes(4)
    return b"II*\0" + struct.pack("<I", 8 + len(pixels)) + pixels + directory


@functools.cache
def seeds() -> tuple[tuple[str, bytes], ...]:
    """Return name and bytes of every seed."""
    rng = np.random.default_rng(0)
    rgb = Image.fromarray(rng.integers(0, 256, (18, 24, 3), np.uint8))
    images: list[tuple[str, bytes]] = []

    def add(name: str, image: Image.Image, kind: str, **options: Any) -> None:
        file = io.BytesIO()
        image.save(file, kind, **options)
        images.append((f"{kind.lower()} {name}", file.getvalue()))

    exif = exif_block(0x0112, 3, 1, 6)
    deep = rng.integers(0, 65536, (18, 24), np.uint16)
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA"):
        add(mode, rgb.convert(mode), "PNG")
    add("16 bits", Image.fromarray(deep), "PNG")
    add("EXIF", rgb, "PNG", exif=exif)
    add("transparent palette", rgb.convert("P"), "PNG", transparency=bytes(range(100)))
    add("animated", rgb, "PNG", save_all=True, append_images=[rgb.rotate(90)])
    for mode in ("L", "RGB", "CMYK"):
        add(mode, rgb.convert(mode), "JPEG")
        add(f"{mode} progressive", rgb.convert(mode), "JPEG", progressive=True)
    add("EXIF", rgb, "JPEG", exif=exif)
    add("restarts", rgb, "JPEG", restart_marker_rows=1, subsampling=0)
    for mode in ("1", "L", "P", "RGB", "RGBA"):
        add(mode, rgb.convert(mode), "BMP")
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB"):
        add(mode, rgb.convert(mode) if mode != "LAB" else Image.new("LAB", (24, 18)), "TIFF")
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        add(compression, rgb, "TIFF", compression=compression)
    for compression in ("group3", "group4", "tiff_ccitt"):
        add(compression, rgb.convert("1"), "TIFF", compression=compression)
    add("16 bits", Image.fromarray(deep), "TIFF", compression="tiff_lzw")
    add("32 bits", Image.fromarray(deep.astype(np.int32)), "TIFF")
    for value in (0.5, np.nan, np.inf, -np.inf, 1e38):
        grey = rng.random((18, 24), np.float32)
        grey[3, 4] = value
        add(f"float with {value}", Image.fromarray(grey), "TIFF", compression="tiff_deflate")
    add("pages", rgb, "TIFF", save_all=True, append_images=[rgb.convert("L")] * 2)
    add("BigTIFF", rgb, "TIFF", big_tiff=True)
    add("EXIF", rgb, "TIFF", exif=exif)
    add("lossy", rgb, "WEBP")
    add("lossless", rgb, "WEBP", lossless=True)
    add("alpha and EXIF", rgb.convert("RGBA"), "WEBP", exif=exif)
    add("animated", rgb, "WEBP", save_all=True, append_images=[rgb.rotate(90)])
    add("of no kind", rgb.convert("P"), "GIF")
    return (*images, *_by_hand(rng))


def _by_hand(rng: Generator) -> list[tuple[str, bytes]]:
    """Return images of kinds that Pillow reads but does not write."""
    noise = rng.integers(0, 256, 4096, np.uint8).tobytes()
    rows = b"".join(b"\2" + noise[i : i + 48] for i in range(0, 8 * 48, 48))
    passes = b"\0" + noise[:1] + b"\0" + noise[:1] + b"\0" + noise[:2] + (b"\0" + noise[:2]) * 2
    passes += (b"\0" + noise[:4]) * 2 + (b"\0" + noise[:4]) * 4 + (b"\0" + noise[:8]) * 4
    tile = {256: 24, 257: 18, 258: 8, 259: 1, 262: 1, 277: 1, 322: 32, 323: 32, 324: 8, 325: 1024}
    strip = {256: 8, 257: 4, 259: 1, 262: 1, 273: 8, 277: 1, 278: 4, 279: 64}
    runs = bytes((24, 7, 0, 0)) * 18 + b"\0\1"
    head = struct.pack("<IiiHHIIiiII", 40, 24, 18, 1, 8, 1, len(runs), 0, 0, 256, 0)
    offset = 14 + len(head) + 1024
    bmp = b"BM" + struct.pack("<IHHI", offset + len(runs), 0, 0, offset) + head
    return [
        ("png RGB of 16 bits", png(8, 8, 16, 2, rows)),
        ("png interlaced", png(8, 8, 8, 0, passes, 1)),
        ("bmp of runs", bmp + noise[:1024] + runs),
        ("tiff tiled", tiff(tile, noise[:1024])),
        ("tiff of 12 bits", tiff(strip | {258: 12}, noise[:64])),
        ("tiff signed", tiff(strip | {258: 16, 339: 2}, noise[:64])),
        ("nothing", b""),
        ("text", b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
    ]


def bombs() -> tuple[tuple[str, bytes], ...]:
    """Return valid small files that decode to as many pixels as flawmap allows."""
    side = 13_300
    row, one = bytes(1 + side), zlib.compressobj(9)
    packed = b"".join(one.compress(row * 100) for _ in range(side // 100)) + one.flush()
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", packed), (b"IEND", b""))
    grey = Image.new("L", (side, side))
    return (
        ("bomb png", PNG + b"".join(png_chunk(tag, body) for tag, body in chunks)),
        *(
            (f"bomb {kind} {options}", _saved(grey, kind, options))
            for kind, options in (
                ("JPEG", {"progressive": True}),
                ("TIFF", {"compression": "tiff_lzw"}),
                ("TIFF", {"compression": "tiff_adobe_deflate"}),
                ("WEBP", {"lossless": True, "method": 0}),
            )
        ),
    )


def _saved(image: Image.Image, kind: str, options: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def mutated(seed: int, case: int) -> tuple[str, bytes]:
    """Return a description of the mutation, and the bytes."""
    rng = np.random.default_rng([seed, 1, case])
    name, data = seeds()[case % len(seeds())]
    done = [name]
    for _ in range(int(rng.integers(1, 5))):
        mutate = MUTATIONS[int(rng.integers(len(MUTATIONS)))]
        data = bytes(mutate(bytearray(data or b"\0"), rng))
        done.append(mutate.__name__.strip("_"))
    if data.startswith(PNG) and rng.random() < 0.7:
        data = with_valid_checksums(data)
    return ", ".join(done), data


def with_valid_checksums(data: bytes) -> bytes:
    """Return the PNG with corrected CRCs, so that decoders do not stop at them."""
    out, at = bytearray(data), 8
    while at + 12 <= len(out):
        (length,) = struct.unpack_from(">I", out, at)
        end = at + 8 + length
        if end + 4 > len(out):
            break
        struct.pack_into(">I", out, end, zlib.crc32(out[at + 4 : end]))
        at = end + 4
    return bytes(out)


def _somewhere(data: bytearray, rng: Generator) -> int:
    """Return a random position, in half of the cases in the header."""
    limit = min(len(data), 64) if rng.random() < 0.5 else len(data)
    return int(rng.integers(max(1, limit)))


def _piece(data: bytearray, rng: Generator) -> tuple[int, int]:
    start = _somewhere(data, rng)
    return start, min(len(data), start + int(rng.integers(1, 128)))


def flip_bits(data: bytearray, rng: Generator) -> bytearray:
    """Flip a few random bits."""
    for _ in range(int(rng.integers(1, 9))):
        data[_somewhere(data, rng)] ^= 1 << int(rng.integers(8))
    return data


def extreme_bytes(data: bytearray, rng: Generator) -> bytearray:
    """Set a few bytes to the ends of their range."""
    for _ in range(int(rng.integers(1, 9))):
        data[_somewhere(data, rng)] = int(rng.choice((0, 1, 0x7F, 0x80, 0xFE, 0xFF)))
    return data


def extreme_number(data: bytearray, rng: Generator) -> bytearray:
    """Set a number of 2 or 4 bytes, of either byte order, to the ends of its range."""
    at, wide = _somewhere(data, rng), int(rng.choice((2, 4)))
    value = int(rng.choice(EXTREMES)) % (1 << 8 * wide)
    data[at : at + wide] = value.to_bytes(wide, "big" if rng.random() < 0.5 else "little")
    return data


def truncate(data: bytearray, rng: Generator) -> bytearray:
    """Keep only the beginning."""
    return data[: int(rng.integers(len(data)))]


def drop(data: bytearray, rng: Generator) -> bytearray:
    """Remove a piece."""
    start, end = _piece(data, rng)
    del data[start:end]
    return data


def repeat(data: bytearray, rng: Generator) -> bytearray:
    """Repeat a piece up to 500 times."""
    start, end = _piece(data, rng)
    data[end:end] = data[start:end] * int(rng.integers(1, 500))
    return data


def insert_noise(data: bytearray, rng: Generator) -> bytearray:
    """Insert random bytes at a random position."""
    at = _somewhere(data, rng)
    data[at:at] = rng.integers(0, 256, int(rng.integers(1, 300)), np.uint8).tobytes()
    return data


def splice(data: bytearray, rng: Generator) -> bytearray:
    """Join the beginning of this image with the end of another, perhaps of another kind."""
    _, other = seeds()[int(rng.integers(len(seeds())))]
    return data[: _somewhere(data, rng)] + other[int(rng.integers(len(other) + 1)) :]


def other_magic(data: bytearray, rng: Generator) -> bytearray:
    """Replace the first bytes by those of another kind."""
    magic = MAGICS[int(rng.integers(len(MAGICS)))]
    data[: len(magic)] = magic
    return data


def other_size(data: bytearray, rng: Generator) -> bytearray:
    """Change the width or height in the header."""
    at, order, wide = _size_field(data, rng)
    value = int(rng.choice(SIDES)) % (1 << 8 * wide)
    data[at : at + wide] = value.to_bytes(wide, order)
    return data


def _size_field(data: bytearray, rng: Generator) -> tuple[int, Any, int]:
    """Return position, byte order and length of the field that holds one side of the image."""
    second = rng.random() < 0.5
    if data.startswith(PNG):
        return 16 + 4 * second, "big", 4
    if data.startswith(b"BM"):
        return 18 + 4 * second, "little", 4
    if data.startswith(b"RIFF"):
        return (24 + 3 * second, "little", 3) if data[12:16] == b"VP8X" else (21, "little", 4)
    if data.startswith(b"\xff\xd8"):
        frame = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2"), 0)
        return frame + 5 + 2 * second, "big", 2
    entry = data.find(struct.pack("<HH", 256 + second, 4))
    return (max(entry, 0) + 8, "little", 4)


def other_entry(data: bytearray, rng: Generator) -> bytearray:
    """Change type, count or value of an entry in the directory of the TIFF or EXIF block."""
    start = max(data.find(b"Exif\0\0") + 6, 0) if b"Exif\0\0" in data else 0
    order = ">" if data[start : start + 2] == b"MM" else "<"
    if len(data) < start + 8:
        return data
    (offset,) = struct.unpack_from(order + "I", data, start + 4)
    at = start + offset + 2 + 12 * int(rng.integers(14))
    field, wide = ((0, 2), (2, 2), (4, 4), (8, 4))[int(rng.integers(4))]
    value = int(rng.choice((*EXTREMES, *range(1, 14), 256, 257, 259, 273, 279))) % (1 << 8 * wide)
    if at + 12 <= len(data):
        struct.pack_into(order + ("H" if wide == 2 else "I"), data, at + field, value)
    return data


def absurd_exif(data: bytearray, rng: Generator) -> bytes:
    """Replace the EXIF block by an invalid one, or insert one before the pixels."""
    numbers = (int(rng.choice(EXTREMES)) for _ in range(4))
    tag, kind, count, value = next(numbers) % 65536, next(numbers) % 65536, *numbers
    block = exif_block(int(rng.choice((tag, 0x0112, 0x8769, 0x8825))), kind, count, value)
    if data.startswith(b"\xff\xd8"):
        return data[:2] + b"\xff\xe1" + struct.pack(">H", 2 + len(block)) + block + data[2:]
    if data.startswith(PNG):
        return data[:33] + png_chunk(b"eXIf", block[6:]) + data[33:]
    at = max(data.find(b"Exif\0\0"), 0)
    return data[:at] + block + data[at + len(block) :]


def repeat_chunk(data: bytearray, rng: Generator) -> bytes:
    """Repeat or move a chunk of a PNG or a segment of a JPEG."""
    if data.startswith(PNG):
        parts = _chunks(data, 8, lambda at: 12 + int.from_bytes(data[at : at + 4], "big"))
    elif data.startswith(b"\xff\xd8"):
        parts = _chunks(data, 2, lambda at: 2 + int.from_bytes(data[at + 2 : at + 4], "big"))
    else:
        return bytes(repeat(data, rng))
    part = parts[1 + int(rng.integers(len(parts) - 1))] if len(parts) > 1 else b""
    parts.insert(1 + int(rng.integers(len(parts))), part)
    return b"".join(parts)


def _chunks(data: bytearray, start: int, length: Callable[[int], int]) -> list[bytes]:
    """Return the part before the first chunk, and the first 50 chunks; the last has the rest."""
    parts, at = [bytes(data[:start])], start
    while at < len(data) and len(parts) < 50:
        end = at + max(1, length(at))
        parts.append(bytes(data[at:end]))
        at = end
    return [*parts[:-1], parts[-1] + bytes(data[at:])]


MUTATIONS: tuple[Mutation, ...] = (
    flip_bits, extreme_bytes, extreme_number, truncate, drop, repeat, insert_noise, splice,
    other_magic, other_size, other_entry, absurd_exif, repeat_chunk,
)  # fmt: skip
