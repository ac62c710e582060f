"""Fast decoders against Pillow: equal pixels, the same refusals, and Pillow wherever in doubt."""

from __future__ import annotations

import io
import random
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from flawmap.data.image_io import fast
from flawmap.data.image_io.images import ImageError, read_image, read_scaled
from flawmap.data.masks.decoding import read_mask

pytest.importorskip("kornia_rs", reason="needs the extra fast-decode")
pytest.importorskip("simplejpeg", reason="needs the extra fast-decode")

RNG = np.random.default_rng(5)
RGB = RNG.integers(0, 256, (33, 47, 3), dtype=np.uint8)
SMOOTH = np.asarray(Image.fromarray(RGB).resize((150, 130), Image.Resampling.BICUBIC))
ADLER = "an intact CRC around a wrong Adler-32"


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Record for each file whether a fast decoder gave its pixels."""
    found: list[bool] = []
    load = fast.load

    def recorded(image: Any, data: bytes) -> Any:
        values = load(image, data)
        found.append(values is not None)
        return values

    monkeypatch.setattr(fast, "load", recorded)
    return found


def by_pillow(data: bytes, monkeypatch: pytest.MonkeyPatch) -> np.ndarray | str:
    with monkeypatch.context() as patch:
        patch.setattr(fast, "load", lambda image, data: None)
        return outcome(data)


def outcome(data: bytes) -> np.ndarray | str:
    try:
        return read_image(data)
    except ImageError as error:
        return str(error)


def assert_as_pillow(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, pillow = outcome(data), by_pillow(data, monkeypatch)
    if isinstance(ours, str) or isinstance(pillow, str):
        assert ours == pillow
    else:
        np.testing.assert_array_equal(ours, pillow)


def stored(image: np.ndarray | Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def with_chunk(png: bytes, name: bytes, data: bytes, *, before_end: bool) -> bytes:
    place = len(png) - 12 if before_end else 33
    return png[:place] + chunk(name, data) + png[place:]


def texts() -> PngInfo:
    info = PngInfo()
    info.add_text("Software", "a camera")
    return info


def rotated(angle: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = angle
    return exif


PLAIN = {
    "RGB PNG": stored(RGB),
    "grey PNG": stored(RGB[:, :, 0]),
    "RGBA PNG": stored(np.dstack([RGB, RGB[:, :, :1]])),
    "PNG with text": stored(RGB, pnginfo=texts()),
    "PNG with text after the pixels": with_chunk(stored(RGB), b"tEXt", b"a\0b", before_end=True),
    "PNG with gamma": with_chunk(stored(RGB), b"gAMA", struct.pack(">I", 45455), before_end=False),
    "PNG turned by EXIF": stored(RGB, exif=rotated(6)),
    "PNG with a tail": stored(RGB) + b"tail",
    "one pixel": stored(RGB[:1, :1]),
    "RGB JPEG": stored(SMOOTH, "JPEG", quality=90),
    "JPEG of full colour": stored(SMOOTH, "JPEG", quality=95, subsampling=0),
    "grey JPEG": stored(SMOOTH[:, :, 0], "JPEG"),
    "progressive JPEG": stored(SMOOTH, "JPEG", progressive=True),
    "JPEG turned by EXIF": stored(SMOOTH, "JPEG", exif=rotated(8)),
}
FOR_PILLOW = {
    "palette": stored(Image.fromarray(RGB).quantize(16)),
    "bits": stored(Image.fromarray(RGB[:, :, 0] > 99)),
    "grey with alpha": stored(Image.fromarray(RGB[:, :, :2], "LA")),
    "16 bits": stored(RGB[:, :, 0].astype(np.uint16) * 257),
    "a transparent colour": stored(Image.fromarray(RGB), transparency=(1, 2, 3)),
    "EXIF after the pixels": with_chunk(
        stored(RGB), b"eXIf", rotated(3).tobytes()[6:], before_end=True
    ),
    "an unknown chunk": with_chunk(stored(RGB), b"abCd", b"", before_end=False),
    "several frames": stored(
        Image.fromarray(RGB), save_all=True, append_images=[Image.fromarray(RGB[::-1])]
    ),
    "no end": stored(RGB)[:-12],
    "CMYK JPEG": stored(Image.fromarray(SMOOTH).convert("CMYK"), "JPEG"),
    "truncated JPEG": stored(SMOOTH, "JPEG")[:-300],
}


@pytest.mark.parametrize("name", PLAIN)
def test_plain_files_have_pillows_pixels(
    name: str, taken: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_as_pillow(PLAIN[name], monkeypatch)
    assert taken == [True]


@pytest.mark.parametrize("name", FOR_PILLOW)
def test_pillow_decodes_everything_else(
    name: str, taken: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_as_pillow(FOR_PILLOW[name], monkeypatch)
    assert True not in taken


def test_scaled_images_are_equal(monkeypatch: pytest.MonkeyPatch) -> None:
    for data in PLAIN.values():
        ours, size = read_scaled(data, lambda size: (16, 24))
        with monkeypatch.context() as patch:
            patch.setattr(fast, "load", lambda image, data: None)
            theirs, same = read_scaled(data, lambda size: (16, 24))
        assert size == same
        np.testing.assert_array_equal(ours, theirs)


def test_images_can_be_written_to() -> None:
    for data in PLAIN.values():
        read_image(data)[0, 0] = 0


def test_masks_are_left_to_pillow(taken: list[bool]) -> None:
    read_mask(stored((RGB[:, :, 0] > 99).astype(np.uint8) * 255), (33, 47))
    assert taken == []


def test_damage_is_refused_as_by_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(3)
    for data in PLAIN.values():
        for _ in range(40):
            damaged = bytearray(data)
            if draw.random() < 0.3:
                del damaged[draw.randrange(1, len(damaged)) :]
            else:
                damaged[draw.randrange(len(damaged))] ^= 1 << draw.randrange(8)
            assert_as_pillow(bytes(damaged), monkeypatch)


def test_only_a_wrong_adler_checksum_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stated in the module's docstring; no damaged disk or line leaves the CRC intact."""
    rows = b"".join(b"\0" + row.tobytes() for row in RGB)
    stream = bytearray(zlib.compress(rows))
    stream[-1] ^= 1
    png = stored(RGB)[:33] + chunk(b"IDAT", bytes(stream)) + chunk(b"IEND", b"")
    np.testing.assert_array_equal(outcome(png), RGB, ADLER)
    assert "damaged" in str(by_pillow(png, monkeypatch))


def test_too_little_data_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = b"".join(b"\0" + row.tobytes() for row in RGB[:-3])
    png = stored(RGB)[:33] + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    assert_as_pillow(png, monkeypatch)


def test_threads_get_their_own_images() -> None:
    images = [RNG.integers(0, 256, (40, 30, 3), dtype=np.uint8) for _ in range(32)]
    with ThreadPoolExecutor(8) as pool:
        for image, found in zip(images, pool.map(read_image, map(stored, images)), strict=True):
            np.testing.assert_array_equal(image, found)


def test_without_the_extra_pillow_decodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast, "_png_decoder", lambda: None)
    monkeypatch.setattr(fast, "_jpeg_decoder", lambda: None)
    for data in PLAIN.values():
        read_image(data)
    assert fast.jpeg_decoder().startswith("Pillow")


def test_the_digest_tells_decoders_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    own = fast.jpeg_digest()
    fast.jpeg_digest.cache_clear()
    decoder = fast._jpeg_decoder()
    monkeypatch.setattr(
        fast, "_jpeg_decoder", lambda: lambda data, colorspace: decoder(data, colorspace) ^ 1
    )
    assert fast.jpeg_digest() != own
    fast.jpeg_digest.cache_clear()


@pytest.mark.realdata
def test_real_files_have_pillows_pixels(
    shared_data: Path, taken: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [p for p in sorted(shared_data.rglob("*")) if p.suffix in {".png", ".jpg"}]
    for path in random.Random(1).sample(files, 60):
        assert_as_pillow(path.read_bytes(), monkeypatch)
    assert sum(taken) == 60
