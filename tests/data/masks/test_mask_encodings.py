"""Every encoding of masks that labelling tools write marks the same pixels."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageDraw
from scipy import ndimage

from flawmap.data.image_io.images import ImageError
from flawmap.data.masks.decoding import marks_anything, read_mask

SIZE = (96, 128)
RNG = np.random.default_rng(5)


def _truth() -> np.ndarray:
    mask = Image.new("L", SIZE[::-1])
    draw = ImageDraw.Draw(mask)
    draw.rectangle([40, 38, 55, 49], fill=1)
    draw.ellipse([80, 20, 110, 60], fill=1)
    draw.line([10, 70, 70, 88], fill=1, width=3)
    return np.asarray(mask).astype(bool)


TRUTH = _truth()


def file(array: np.ndarray | Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image = array if isinstance(array, Image.Image) else Image.fromarray(array)
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def two(background: object, drawing: object, dtype: type = np.uint8) -> np.ndarray:
    """(h, w) or (h, w, c): one value or colour on the truth, another elsewhere."""
    truth = TRUTH if np.ndim(drawing) == 0 else TRUTH[..., None]
    return np.where(truth, drawing, background).astype(dtype)


def classes(values: object, dtype: type = np.uint8) -> np.ndarray:
    """Upright bands of the values within each region of the truth, as in a map of class numbers."""
    regions, count = ndimage.label(TRUTH)
    found = np.zeros(SIZE, np.int64)
    values = np.asarray(values)
    for region in range(1, count + 1):
        columns = np.nonzero((regions == region).any(0))[0]
        low, width = columns.min(), np.ptp(columns) + 1
        band = (np.arange(SIZE[1]) - low) * len(values) // width
        found = np.where(regions == region, values[band.clip(0, len(values) - 1)][None], found)
    return found.astype(dtype)


def instances(count: int) -> np.ndarray:
    """Numbers 1..count scattered over the truth in blocks of 2x2, as of instances."""
    numbers = RNG.integers(1, count + 1, (SIZE[0] // 2, SIZE[1] // 2))
    return np.where(TRUTH, numbers.repeat(2, 0).repeat(2, 1), 0).astype(np.uint16)


def palette(indices: np.ndarray, colours: list[int], **options) -> bytes:
    image = Image.fromarray(indices.astype(np.uint8), "P")
    image.putpalette(colours)
    return file(image, **options)


def with_alpha(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    return np.dstack([colour, alpha]).astype(np.uint8)


def noisy(values: np.ndarray, by: int = 16) -> np.ndarray:
    noise = np.random.default_rng(1).integers(-by, by + 1, values.shape)
    return (values.astype(int) + noise).clip(0, 255).astype(np.uint8)


RED, GREEN, BLACK, WHITE, GREY = (255, 0, 0), (0, 255, 0), (0, 0, 0), (255, 255, 255), (90, 90, 90)
VOC = [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0, 0, 0, 128, 128, 0, 128, 0, 128, 128, 64, 0, 0]
CITY = np.array(
    [(128, 64, 128), (0, 0, 70), (0, 60, 100), (220, 20, 60), (0, 0, 142), (70, 70, 70)]
)
PHOTOGRAPH = RNG.integers(0, 256, (*SIZE, 3))

LABELS: dict[str, bytes] = {
    **{f"0/{v}": file(two(0, v)) for v in (1, 7, 16, 64, 100, 128, 200, 255)},
    "classes 1, 2": file(classes([1, 2])),
    "classes 1, 255": file(classes([1, 255])),
    "classes 128, 255": file(classes([128, 255])),
    **{f"classes 1..{n}": file(classes(range(1, n + 1))) for n in (3, 4, 5, 6, 8, 12)},
    **{
        f"{n} classes over 255": file(classes(np.linspace(1, 255, n + 1)[1:]))
        for n in (4, 5, 6, 8, 12)
    },
    "classes 50/100/150/200/250": file(classes([50, 100, 150, 200, 250])),
    "classes in no order": file(classes([200, 50, 250, 30, 150, 100])),
    "classes 1..9 and void": file(classes([*range(1, 10), 255])),
    **{f"{n} instances": file(instances(n).astype(np.uint8)) for n in (20, 40, 255)},
    "300 instances of 16 bits": file(instances(300)),
    "60000 instances of 16 bits": file(instances(60000)),
    "classes 1..300 of 16 bits": file(classes([1, 60, 130, 200, 260, 300], np.uint16)),
    "26001 and on, of 32 bits": file(classes(range(26001, 26008), np.int32), "TIFF"),
    "-1 for not labelled": file(classes([1, 2, 3], np.int32) - two(1, 0, np.int32), "TIFF"),
    "0/65535": file(two(0, 65535, np.uint16)),
    "0/1 of 16 bits": file(two(0, 1, np.uint16)),
    "1 bit": file(Image.fromarray(TRUTH)),
    "1 bit, TIFF": file(Image.fromarray(TRUTH), "TIFF", compression="group4"),
    "float 0/1": file(two(0, 1, np.float32), "TIFF"),
    "float 0/0.6": file(two(0, 0.6, np.float32), "TIFF"),
    "float 0/255": file(two(0, 255, np.float32), "TIFF"),
    "float classes": file(classes(range(1, 9), np.float32), "TIFF"),
    "BMP": file(two(0, 255), "BMP"),
    "WebP": file(two(BLACK, WHITE), "WEBP", lossless=True),
    # palettes
    "VOC palette": palette(classes(range(1, 8)), VOC),
    "palette without colours": palette(classes(range(1, 8)), []),
    "palette, white background": palette(TRUTH, [255, 255, 255, 255, 0, 0]),
    "palette, white background, black drawing": palette(TRUTH, [255, 255, 255, 0, 0, 0]),
    "palette, grey background": palette(TRUTH, [90, 90, 90, 0, 0, 255]),
    "palette, grey background, 6 classes": palette(classes(range(1, 7)), [90, 90, 90, *VOC[3:]]),
    "palette of black and white, white first": palette(~TRUTH, [255, 255, 255, 0, 0, 0]),
    "palette, red before black": palette(~TRUTH, [255, 0, 0, 0, 0, 0]),
    "palette, background transparent": palette(TRUTH, [0, 0, 255, 255, 0, 0], transparency=0),
    "palette, last index transparent": palette(
        two(2, 1), [9, 9, 9, 255, 0, 0, 0, 0, 255], transparency=2
    ),
    "palette of greys": file(Image.fromarray(two(0, 255)).convert("P")),
    # colours
    "white on black": file(two(BLACK, WHITE)),
    "red on black": file(two(BLACK, RED)),
    "dark blue on black": file(two(BLACK, (0, 0, 70))),
    "red on white": file(two(WHITE, RED)),
    "colour a class": file(np.where(TRUTH[..., None], CITY[classes(range(6))], 0).astype(np.uint8)),
    "colour a class on white": file(
        np.where(TRUTH[..., None], CITY[classes(range(6))], 255).astype(np.uint8)
    ),
    "numbers as colours": file(np.dstack([instances(255), instances(255) * 0, TRUTH]).astype("u1")),
    # alpha
    "alpha, red everywhere": file(with_alpha(two(RED, RED), two(0, 255))),
    "alpha, black everywhere": file(with_alpha(two(BLACK, BLACK), two(0, 255))),
    "alpha, white everywhere, half transparent": file(with_alpha(two(WHITE, WHITE), two(0, 100))),
    "alpha, red on transparent black": file(with_alpha(two(BLACK, RED), two(0, 255))),
    "alpha, black on transparent white": file(with_alpha(two(WHITE, BLACK), two(0, 255))),
    "alpha over a photograph": file(with_alpha(PHOTOGRAPH, two(0, 255))),
    "cut out of a photograph": file(with_alpha(PHOTOGRAPH * TRUTH[..., None], two(0, 255))),
    "colour a class, alpha": file(
        with_alpha(np.where(TRUTH[..., None], CITY[classes(range(6))], 0), two(0, 128))
    ),
    "opaque colour": file(with_alpha(two(BLACK, RED), two(255, 255))),
    "all transparent colour": file(with_alpha(two(BLACK, RED), two(0, 0))),
    "colour, alpha of the page": file(
        with_alpha(two(BLACK, RED), np.where(np.arange(SIZE[1])[None] < 120, 255, 0) + 0 * TRUTH)
    ),
    "LA, drawing in alpha": file(Image.fromarray(np.dstack([two(255, 255), two(0, 255)]), "LA")),
    "LA, drawing in grey": file(Image.fromarray(np.dstack([two(0, 255), two(255, 255)]), "LA")),
    "grey with a transparent value": file(Image.fromarray(two(0, 200)), transparency=0),
    "colour with a transparent value": file(Image.fromarray(two(WHITE, RED)), transparency=WHITE),
}  # fmt: skip


@pytest.mark.parametrize("encoding", LABELS)
def test_a_drawing_without_soft_edges(encoding: str) -> None:
    data = LABELS[encoding]
    np.testing.assert_array_equal(read_mask(data, None), TRUTH)
    assert marks_anything(data)
    if "without colours" not in encoding:
        assert read_mask(data, (48, 64), image_size=SIZE).sum() == pytest.approx(
            TRUTH.sum() / 4, rel=0.06
        )


def soft(array: np.ndarray, sigma: float = 1.0) -> np.ndarray:
    return np.rint(ndimage.gaussian_filter(array.astype(float), sigma)).astype(array.dtype)


LARGE = np.asarray(Image.fromarray(two(0, 255)).resize((64, 48)).resize(SIZE[::-1]))
SOFT: dict[str, bytes] = {
    **{f"JPEG {q}": file(two(0, 255), "JPEG", quality=q) for q in (30, 75, 95, 100)},
    **{
        f"JPEG {q} saved as PNG": file(Image.open(io.BytesIO(file(two(0, 255), "JPEG", quality=q))))
        for q in (30, 50, 75, 95)
    },
    "JPEG, 0/128": file(two(0, 128), "JPEG"),
    "JPEG in colour": file(two(BLACK, RED), "JPEG", quality=90, subsampling=0),
    "JPEG, red on white": file(two(WHITE, RED), "JPEG", quality=90, subsampling=0),
    "JPEG of 6 classes": file(classes([50, 90, 130, 170, 210, 250]), "JPEG", quality=95),
    "WebP with loss": file(two(BLACK, WHITE), "WEBP", quality=90),
    "antialiased": file(soft(two(0, 255))),
    "antialiased, 0/128": file(soft(two(0, 128))),
    "antialiased, 16 bits": file(soft(two(0, 65535, np.uint16))),
    "antialiased, float": file(soft(two(0, 1000, np.int64)).astype(np.float32) / 1000, "TIFF"),
    "antialiased palette": file(Image.fromarray(soft(two(0, 255))).convert("P")),
    "antialiased alpha": file(with_alpha(two(RED, RED), soft(two(0, 255)))),
    "antialiased LA": file(Image.fromarray(np.dstack([two(9, 9), soft(two(0, 255))]), "LA")),
    "antialiased red on white": file(255 - soft(two(0, 255))[..., None] * np.uint8([0, 1, 1])),
    "enlarged": file(LARGE),
    "noise": file(noisy(two(0, 255))),
    "noise in colour": file(noisy(two(BLACK, WHITE))),
}  # fmt: skip


@pytest.mark.parametrize("encoding", SOFT)
def test_a_drawing_with_soft_edges_or_noise(encoding: str) -> None:
    found = read_mask(SOFT[encoding], None).astype(bool)
    assert (found & TRUTH).sum() / (found | TRUTH).sum() > 0.9
    assert not (found & ~ndimage.binary_dilation(TRUTH, iterations=2)).any(), "far from the drawing"
    assert marks_anything(SOFT[encoding])


NOTHING: dict[str, Callable[[], bytes]] = {
    "black": lambda: file(two(0, 0)),
    "noise": lambda: file(noisy(two(0, 0))),
    "little noise": lambda: file(noisy(two(0, 0), 2)),
    "noise in colour": lambda: file(noisy(two(BLACK, BLACK))),
    "noise of 16 bits": lambda: file(noisy(two(0, 0)).astype(np.uint16) * 257),
    "noisy JPEG": lambda: file(noisy(two(0, 0)), "JPEG"),
    "deep black": lambda: file(two(0, 0, np.uint16)),
    "black colour": lambda: file(two(BLACK, BLACK)),
    "palette": lambda: palette(0 * TRUTH, [90, 90, 90, 255, 0, 0]),
    "float": lambda: file(two(0, 0, np.float32), "TIFF"),
    "all transparent, one colour": lambda: file(with_alpha(two(RED, RED), two(0, 0))),
    "opaque black": lambda: file(with_alpha(two(BLACK, BLACK), two(255, 255))),
    "1 bit": lambda: file(Image.fromarray(TRUTH & False)),
}


@pytest.mark.parametrize("encoding", NOTHING)
def test_nothing_is_marked(encoding: str) -> None:
    data = NOTHING[encoding]()
    assert not read_mask(data, None).any()
    assert not marks_anything(data)


EVERYTHING: dict[str, Callable[[], bytes]] = {
    "white": lambda: file(two(255, 255)),
    "one": lambda: file(two(1, 1)),
    "noise": lambda: file(noisy(two(255, 255))),
    "float 0.6": lambda: file(two(0.6, 0.6, np.float32), "TIFF"),
    "opaque red": lambda: file(with_alpha(two(RED, RED), two(255, 255))),
    "red": lambda: file(two(RED, RED)),
    "white JPEG": lambda: file(two(WHITE, WHITE), "JPEG"),
}


@pytest.mark.parametrize("encoding", EVERYTHING)
def test_everything_is_marked(encoding: str) -> None:
    data = EVERYTHING[encoding]()
    assert read_mask(data, None).all()
    assert marks_anything(data)


def test_a_black_drawing_on_white_is_not_turned_in_secret() -> None:
    for data in (file(two(255, 0)), file(two(WHITE, BLACK)), file(Image.fromarray(~TRUTH))):
        np.testing.assert_array_equal(read_mask(data, None), ~TRUTH)


def test_values_that_are_no_numbers() -> None:
    with pytest.raises(ImageError, match=r"m\.tif: holds values that are not numbers"):
        read_mask(file(two(0, np.nan, np.float32), "TIFF"), None, name="m.tif")


def test_a_large_plain_mask_is_read_where_it_may_be_plain() -> None:
    data = file(np.zeros((6000, 8000), np.uint8))
    with pytest.raises(ImageError, match="no camera image"):
        read_mask(data, (60, 80))
    assert not read_mask(data, (60, 80), plain=True).any()
