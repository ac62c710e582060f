"""Decoding of a mask's marked pixels from grey values, colours, palette indices or alpha."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flawmap.data.masks.values import marked_share

Share = NDArray[np.float32]
Bytes = NDArray[np.uint8]

_FEW = 4  # up to this many palette entries in use are labels even if they are grey
_DARK, _BRIGHT = 32, 223  # limits of black and white after JPEG compression
_GREY_SPREAD = 24  # between the channels of a grey stored as JPEG
_LEAST_BACKGROUND = 0.001  # minimum share of the pixels that a background covers
_DRAWN = 256  # a drawing has fewer colours, a camera image more
_SAMPLED = 2**20  # pixels whose colours are counted


def layer_share(image: Image.Image, *, lossy: bool = False) -> Share:
    """Return how far each pixel (h, w) of a decoded mask is marked, 0..1; see `marked_share`.

    - Grey of any depth and 1 bit: by value.
    - Palette: every index but the background's is marked. The background is index 0, black or
      transparent, whichever covers most. More than four shades of grey count as grey.
    - Colour: by distance from the background, which is black if black occurs, else white if white
      occurs. Colour images that hold only grey count as grey.
    - Alpha, if it varies: transparent pixels are not marked. Of the visible pixels, colours decide
      which are marked if they differ and are drawn and not from a camera; else all are marked.
    """
    if image.mode == "P":
        return _palette_share(image, lossy)
    if image.mode == "1" or image.mode[0] in "IF":  # labels below 0 mean unlabelled
        return marked_share(np.maximum(np.asarray(image), 0), lossy=lossy)
    if "A" in image.mode.upper() or "transparency" in image.info:
        return _alpha_share(image, lossy)
    if image.mode == "L":
        return marked_share(np.asarray(image), lossy=lossy)
    return _colour_share(np.asarray(image.convert("RGB")), None, lossy)


# --- palettes


def _palette_share(image: Image.Image, lossy: bool) -> Share:
    indices = np.asarray(image)
    counts = np.bincount(indices.ravel(), minlength=256)
    colours, hidden = _palette(image), _hidden(image)
    used = np.flatnonzero(counts)
    background = max(_backgrounds(used, colours, hidden), key=lambda index: int(counts[index]))
    if _is_ramp(colours[used]) and colours[background].max() == 0 and not hidden[used].any():
        return marked_share(colours[indices, 0], lossy=lossy)
    marked = ~hidden
    if counts[background]:
        marked[background] = False
    share: Share = marked[indices].astype(np.float32)
    return share


def _palette(image: Image.Image) -> Bytes:
    """Return the colours (256, 3) of the indices, black if the file defines none."""
    colours = np.zeros((256, 3), np.uint8)
    stored = np.array(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
    colours[: len(stored)] = stored[:256]
    return colours


def _hidden(image: Image.Image) -> NDArray[np.bool_]:
    """Return which indices (256,) are transparent."""
    hidden = np.zeros(256, bool)
    transparent = image.info.get("transparency")
    if isinstance(transparent, bytes):
        hidden[: len(transparent)] = np.frombuffer(transparent[:256], np.uint8) == 0
    elif isinstance(transparent, int) and 0 <= transparent < 256:
        hidden[transparent] = True
    return hidden


def _backgrounds(used: NDArray[Any], colours: Bytes, hidden: NDArray[np.bool_]) -> list[int]:
    distinct = len(np.unique(colours[used], axis=0)) == len(used)
    black = [int(i) for i in used if distinct and not colours[i].any()]
    return [0, *black, *(int(i) for i in used if hidden[i])]


def _is_ramp(colours: Bytes) -> bool:
    """Whether used colours (n, 3) are many shades of grey, from soft edges or grey labels."""
    grey = bool((colours == colours[:, :1]).all())
    return grey and len(colours) > _FEW and len(np.unique(colours[:, 0])) == len(colours)


# --- alpha


def _alpha_share(image: Image.Image, lossy: bool) -> Share:
    rgba = np.asarray(_as_rgba(image))
    colours, alpha = rgba[..., :3], rgba[..., 3]
    visible = alpha > 0
    if alpha.min() == alpha.max():
        nothing = not visible.any() and _colour_count(colours.reshape(-1, 3)) == 1
        return np.zeros(alpha.shape, np.float32) if nothing else _colour_share(colours, None, lossy)
    share = marked_share(alpha, lossy=lossy)
    if 1 < _colour_count(colours[visible]) <= _DRAWN and _colour_count(colours[~visible]) <= _DRAWN:
        drawn = _colour_share(colours, visible, lossy)
        if (drawn >= 0.5).any():
            share = share * drawn
    return share


def _as_rgba(image: Image.Image) -> Image.Image:
    if image.mode in ("La", "RGBa"):  # colour multiplied by alpha: only these convert from it
        image = image.convert(image.mode.upper())
    return image if image.mode == "RGBA" else image.convert("RGBA")


def _colour_count(colours: Bytes) -> int:
    """Count the different colours among about a million of the given ones (n, 3)."""
    some = colours[:: max(1, len(colours) // _SAMPLED)].astype(np.uint32)
    return len(np.unique(some @ np.array([65536, 256, 1], np.uint32)))


# --- colour


def _colour_share(colours: Bytes, shown_pixels: NDArray[np.bool_] | None, lossy: bool) -> Share:
    """Return the marked share by colours (h, w, 3); pixels not in `shown_pixels` are background."""
    red, green, blue = colours[..., 0], colours[..., 1], colours[..., 2]
    high = np.maximum(np.maximum(red, green), blue)
    low = np.minimum(np.minimum(red, green), blue)
    shown = slice(None) if shown_pixels is None else shown_pixels
    spread, dark, bright = (_GREY_SPREAD, _DARK, _BRIGHT) if lossy else (0, 0, 255)
    grey = (high - low)[shown].max(initial=0) <= spread
    black_occurs = (high[shown] <= dark).mean() >= _LEAST_BACKGROUND
    white_occurs = (low[shown] >= bright).mean() >= _LEAST_BACKGROUND
    distance = high if grey or black_occurs or not white_occurs else 255 - low
    if shown_pixels is not None:
        distance = np.where(shown_pixels, distance, 0)
    return marked_share(distance, lossy=lossy)
