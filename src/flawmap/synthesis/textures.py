"""Textures that fill synthetic anomalies.

DeSTSeg takes them from DTD, whose licence is for research only. These are generated procedurally.
A family draws a *field*, float32 (h, w) of any range; a palette then colours it.
"""

from __future__ import annotations

import functools
import hashlib
import logging
from pathlib import Path

import numpy as np
import numpy.typing as npt

from flawmap.data.image_io.images import read_image, resize_image
from flawmap.data.listing.images import Folder, is_folder
from flawmap.errors import FlawmapError
from flawmap.synthesis import fields, shapes
from flawmap.synthesis.fields import Field, Rng, clouds, embossed, smoothstep, unit
from flawmap.types import Size
from flawmap.utils.rng import Stream, generator

Pixels = npt.NDArray[np.uint8]
_log = logging.getLogger("flawmap")
_DRAWN = 256  # textures of the drawn bank; about four seconds on one core
_READ = 6000  # textures read from files at most: all of DTD

FAMILIES = fields.FAMILIES + shapes.FAMILIES


def texture_bank(folder: Path | None, size: Size, seed: int) -> tuple[Pixels, str]:
    """Return the textures to train with, uint8 (n, h, w, 3), and their description.

    They are read from ``folder``, or drawn if there is none. Raises FlawmapError if no image under
    ``folder`` is readable.
    """
    if folder is None:
        return _drawn_bank(size, seed), f"{_DRAWN} drawn by flawmap"
    bank = load_textures(folder, size, _READ, seed)
    digest = hashlib.sha256(bank.data).hexdigest()[:12]  # no copy of gigabytes
    described = f"{len(bank)} pictures of {folder.resolve().name} ({digest})"  # stored: must stay
    return bank, described


@functools.lru_cache(maxsize=1)
def _drawn_bank(size: Size, seed: int) -> Pixels:
    """Draw the bank, read-only; a run in folds uses it ``folds`` + 1 times."""
    bank = draw_textures(_DRAWN, size, seed)
    bank.flags.writeable = False
    return bank


def draw_textures(count: int, size: Size, seed: int, stream: Stream = Stream.TEXTURE) -> Pixels:
    """Draw ``count`` textures; number i is a pure function of (seed, stream, i, size).

    Returns:
        uint8 (count, h, w, 3), RGB.
    """
    textures = np.empty((count, *size, 3), np.uint8)
    for index in range(count):
        textures[index] = draw_texture(generator(seed, stream, index), size)
    return textures


def load_textures(folder: Path, size: Size, limit: int, seed: int) -> Pixels:
    """Read up to ``limit`` images under ``folder`` (recursively, chosen by seed), resized.

    Returns:
        uint8 (n, h, w, 3), RGB; 1 <= n <= limit. Unreadable files are skipped.

    Raises:
        FlawmapError: no readable image under ``folder``.
    """
    place = Folder(Path(folder))
    paths = sorted(place.images_below() if is_folder(place.path) else ())
    place.left_out.report()
    order = generator(seed, Stream.TEXTURE_FILES).permutation(len(paths))
    textures = np.empty((min(limit, len(paths)), *size, 3), np.uint8)  # 3.3 GB of DTD at 512x512
    count = unreadable = 0
    for path in (paths[i] for i in order):
        if count == len(textures):
            break
        try:
            textures[count] = resize_image(read_image(path), size)
        except (FlawmapError, OSError):
            unreadable += 1
            continue
        count += 1
    if not count:
        raise FlawmapError(
            f"No readable image under {folder}: give a folder of images to --textures, or leave "
            "it out for textures drawn by flawmap."
        )
    if unreadable:
        _log.warning(
            "%d files in %s cannot be read and are skipped as textures.", unreadable, folder
        )
    return textures[:count]


def draw_texture(rng: Rng, size: Size) -> Pixels:
    """Draw a texture of a random family, uint8 (h, w, 3); one in five blends two via a mask."""
    pixels = _coloured(rng, size)
    if rng.random() < 0.2:
        mask = smoothstep(unit(clouds(rng, size)), rng.uniform(0.35, 0.65), rng.uniform(0.01, 0.3))
        pixels = _blend(pixels, _coloured(rng, size), mask)
    return pixels


def _coloured(rng: Rng, size: Size) -> Pixels:
    family = FAMILIES[int(rng.integers(len(FAMILIES)))]
    field = unit(family(rng, size))
    if rng.random() < 0.25:
        field = embossed(rng, field)
    if rng.random() < 0.3:  # grain, like any camera's
        field = field + rng.standard_normal(size, np.float32) * np.float32(rng.uniform(0.01, 0.12))
    levels = (np.clip(field, 0, 1) * 255).astype(np.uint8)
    return _palette(rng)[levels]


def _blend(first: Pixels, second: Pixels, mask: Field) -> Pixels:
    weight = mask[..., None]
    return (first * weight + second * (1 - weight)).astype(np.uint8)


# --- colours


def _palette(rng: Rng) -> Pixels:
    """Draw a colour ramp, uint8 (256, 3): from greys to vivid, from faint to full contrast."""
    stops = int(rng.choice([2, 2, 3, 4, 6]))
    values = _value_stops(rng, stops)
    saturation = float(rng.choice([0.0, 0.0, 0.12, 0.3, 0.6, 0.95])) * rng.uniform(0.6, 1.05, stops)
    hues = rng.random() + rng.choice([0.03, 0.12, 0.5, 1.0]) * rng.uniform(-0.5, 0.5, stops)
    ramp = np.linspace(0, 1, 256)
    at = np.sort(np.concatenate([[0.0, 1.0], rng.random(stops - 2)]))
    colours = _hsv_to_rgb(hues, np.clip(saturation, 0, 1), values)
    channels = [np.interp(ramp, at, colours[:, c]) for c in range(3)]
    return (np.stack(channels, axis=1) * 255).astype(np.uint8)


def _value_stops(rng: Rng, stops: int) -> npt.NDArray[np.float64]:
    """Draw brightness at each stop: a random range in 0..1, at least a fifth wide, up or down."""
    width = rng.uniform(0.1, 1.0) ** 0.7
    low = rng.uniform(0, 1 - width)
    values = low + width * rng.random(stops)
    values[0], values[-1] = (low, low + width) if rng.random() < 0.5 else (low + width, low)
    return np.asarray(values, np.float64)


def _hsv_to_rgb(
    hue: npt.NDArray[np.float64],
    saturation: npt.NDArray[np.float64],
    value: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    sectors = (np.array([5.0, 3.0, 1.0]) + 6 * hue[:, None]) % 6
    reach = np.clip(np.minimum(sectors, 4 - sectors), 0, 1)
    return np.asarray(value[:, None] * (1 - saturation[:, None] * reach), np.float64)
