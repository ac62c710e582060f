"""Images to distil from: scenes of objects on backgrounds, drawn by the program.

No camera image is used. Image i is a pure function of (seed, i): a background, objects with shade,
shine and shadow on it, then camera effects (blur, noise, vignette, JPEG, grey).
"""

from __future__ import annotations

import io
import math
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import scipy.fft
from outlines import draw_object
from PIL import Image, ImageFilter

from flawmap.synthesis.fields import (
    Field,
    Rng,
    frequencies,
    log_uniform,
    power_noise,
    rotated_axes,
    unit,
)
from flawmap.synthesis.textures import Pixels, draw_texture

SIDE = 256
Colours = npt.NDArray[np.float32]  # (h, w, 3) in 0..1


def draw_bank(count: int, seed: int, file: Path, workers: int = 2) -> Pixels:
    """Return images 0..count-1 as uint8 (count, 256, 256, 3), cached in ``file`` (.npy)."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        with ProcessPoolExecutor(workers) as pool:
            drawn = pool.map(partial(draw_image, seed), range(count), chunksize=32)
            bank = np.stack(list(drawn))
        partial_file = file.with_suffix(".part.npy")
        np.save(partial_file, bank)
        partial_file.rename(file)
    return np.load(file, mmap_mode="r")


def draw_image(seed: int, index: int) -> Pixels:
    """Return image ``index``, uint8 (256, 256, 3); one in six is a bare texture."""
    rng = np.random.Generator(np.random.Philox(key=np.array([seed, 2**32 + index], np.uint64)))
    image = _texture(rng) if rng.random() < 1 / 6 else _scene(rng)
    return _captured(rng, image)


def _texture(rng: Rng) -> Colours:
    return draw_texture(rng, (SIDE, SIDE)).astype(np.float32) / 255


def _scene(rng: Rng) -> Colours:
    image = _background(rng)
    materials = [_texture(rng) for _ in range(int(rng.integers(1, 4)))]
    for centre, radius, turn in _placing(rng):
        mask = draw_object(rng, centre, radius, turn, SIDE)
        image = _put(rng, image, mask, _surface(rng, materials))
    return image


def _background(rng: Rng) -> Colours:
    """Plain (half of all), gradient, faint texture or full texture."""
    kind, shade = rng.random(), _plain(rng)
    if kind < 0.45:
        return shade
    if kind < 0.65:
        ramp = unit(rotated_axes(rng, (SIDE, SIDE))[0])[..., None]
        ramp = ramp * np.float32(rng.uniform(-0.6, 0.6))
        return np.clip(shade + ramp, 0, 1)
    if kind < 0.85:
        faint = np.float32(rng.uniform(0.05, 0.4))
        return shade * (1 - faint) + _texture(rng) * faint
    return _texture(rng)


def _plain(rng: Rng) -> Colours:
    """One colour: mostly grey, white or black, as in a light tent."""
    value = rng.choice([rng.uniform(0, 0.15), rng.uniform(0.8, 1), rng.random()])
    tint = rng.choice([0.0, 0.05, 0.4]) * rng.uniform(-1, 1, 3)
    return np.broadcast_to(np.clip(value + tint, 0, 1).astype(np.float32), (SIDE, SIDE, 3))


def _placing(rng: Rng) -> list[tuple[tuple[float, float], float, float]]:
    """Place objects (centre, radius, rotation): one, rows of equal ones, or a heap."""
    kind, turn = rng.random(), rng.uniform(0, 2 * math.pi)
    if kind < 0.35:
        middle = SIDE * rng.uniform(0.35, 0.65, 2)
        return [((middle[0], middle[1]), SIDE * rng.uniform(0.2, 0.55), turn)]
    if kind < 0.55:
        n = int(rng.integers(2, 5))
        at = (np.arange(n) + 0.5) * SIDE / n
        return [((x, y), SIDE / n * rng.uniform(0.3, 0.5), turn) for x in at for y in at]
    count = int(log_uniform(rng, 3, 24))
    spots, sizes = SIDE * rng.random((count, 2)), 0.03 + 0.4 * rng.random(count) ** 2.5
    turns = rng.uniform(0, 2 * math.pi, count)
    return [((s[0], s[1]), SIDE * r, t) for s, r, t in zip(spots, sizes, turns, strict=True)]


def _surface(rng: Rng, materials: list[Colours]) -> Colours:
    """Return a surface: plain, one of the scene's materials, or a mix, randomly shifted."""
    material = materials[int(rng.integers(len(materials)))]
    shift = tuple(int(v) for v in rng.integers(SIDE, size=2))
    material = np.roll(material, shift, (0, 1))
    share = np.float32(rng.choice([0.0, 0.15, 0.5, 1.0]))
    return _plain(rng) * (1 - share) + material * share


def _put(rng: Rng, image: Colours, mask: Field, surface: Colours) -> Colours:
    """Lay an object on the image: its shadow first, then its lit surface."""
    cover = mask[..., None]
    if rng.random() < 0.5:
        shift = tuple(int(v) for v in rng.integers(-10, 11, 2))
        shadow = _soft(np.roll(mask, shift, (0, 1)), rng.uniform(1, 8))
        image = image * (1 - np.float32(rng.uniform(0.1, 0.7)) * shadow[..., None])
    if rng.random() < 0.7:
        surface = _lit(rng, mask, surface)
    return image * (1 - cover) + surface * cover


def _lit(rng: Rng, mask: Field, surface: Colours) -> Colours:
    """Shade a surface as if the mask, blurred, were its height; sometimes with a sharp shine."""
    height = _soft(mask, log_uniform(rng, 1, 16)) * np.float32(log_uniform(rng, 3, 30))
    dy, dx = np.gradient(height)
    angle = rng.uniform(0, 2 * math.pi)
    slope = dx * np.float32(math.cos(angle)) + dy * np.float32(math.sin(angle))
    light = np.tanh(slope)[..., None]
    lit = surface * (1 + np.float32(rng.uniform(0.2, 0.9)) * light)
    if rng.random() < 0.4:
        lit = lit + np.float32(rng.uniform(0.2, 1)) * np.maximum(light, 0) ** int(
            rng.integers(2, 12)
        )
    return np.clip(lit, 0, 1)


def _soft(mask: Field, sigma: float) -> Field:
    """Gaussian blur by FFT, as fast for a wide one as for a narrow one; wraps at the border."""
    f = frequencies(mask.shape, 0.0, 1.0) * np.float32(2 * math.pi * sigma / SIDE)
    return scipy.fft.irfft2(scipy.fft.rfft2(mask) * np.exp(-(f**2) / 2), mask.shape)


# --- camera effects


def _captured(rng: Rng, image: Colours) -> Pixels:
    if rng.random() < 0.4:
        image = np.repeat(image.mean(-1, keepdims=True), 3, axis=-1)
    if rng.random() < 0.5:
        image = image * _vignette(rng)
    contrast = rng.uniform(0.4, 1) if rng.random() < 0.4 else 1.0
    image = (image - 0.5) * np.float32(contrast) + np.float32(
        0.5 + rng.uniform(-1, 1) * (1 - contrast) / 2
    )
    pil = Image.fromarray((np.clip(image, 0, 1) * 255).astype(np.uint8))
    if rng.random() < 0.5:
        pil = pil.filter(ImageFilter.GaussianBlur(log_uniform(rng, 0.4, 2.5)))
    return _compressed(rng, _noisy(rng, np.asarray(pil)))


def _vignette(rng: Rng) -> Colours:
    """Uneven light: a soft gain of smooth noise, (256, 256, 1) in 0.3..1.1."""
    soft = unit(power_noise(rng, (SIDE, SIDE), 3.0))
    return (1.1 - np.float32(rng.uniform(0.1, 0.8)) * soft)[..., None]


def _noisy(rng: Rng, pixels: Pixels) -> Pixels:
    if rng.random() < 0.4:
        return pixels
    channels = 1 if rng.random() < 0.6 else 3
    noise = rng.standard_normal((SIDE, SIDE, channels), np.float32) * log_uniform(rng, 0.7, 14)
    return np.clip(pixels + noise, 0, 255).astype(np.uint8)


def _compressed(rng: Rng, pixels: Pixels) -> Pixels:
    if rng.random() < 0.6:
        return pixels
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=int(rng.integers(25, 95)))
    return np.asarray(Image.open(buffer).convert("RGB"))
