"""Reading of regions of interest from images, polygons and annotations of labelling tools."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from flawmap.data.image_io.decoding import MAX_PIXELS, stated_size
from flawmap.data.masks.annotations import draw_annotations, only_image, states_size
from flawmap.data.masks.decoding import read_mask
from flawmap.errors import FlawmapError, UsageError
from flawmap.inspection.roi.mask import Mask, scaled
from flawmap.inspection.roi.shape import extent, is_like
from flawmap.types import Size
from flawmap.utils.files import read_regular

_MOST_PIXELS = 2**24  # limit of a stored region
_MOST_BYTES = 2**24  # limit of a polygon file


def draw_region(
    roi: Path | None,
    ignore: Path | None,
    size: Size | None = None,
    images: Collection[Size] = (),
) -> Mask:
    """Return the mask (h, w) {0, 1} of the region: what `roi` marks, minus what `ignore` marks.

    Without a `size` the mask has the size of the first one given, limited to 16 million pixels.
    Each is a mask as `read_mask` reads it, or JSON: LabelMe, COCO or VIA with one image, or
    polygons ``{"size": [height, width], "polygons": [[[x, y], ...], ...]}``.

    `images`: sizes of the inspected images; both masks must have their shape, at any scale.
    Raises FlawmapError if one cannot be read or has another shape, or nothing is left.
    """
    if roi is None and ignore is None:
        raise UsageError(
            "There is neither a region of interest nor one to ignore: give one of them."
        )
    region: Mask | None = None
    if roi is not None:
        region = _drawn(roi, size, images)
        if not region.any():
            raise FlawmapError(
                f"The region is empty: {roi} marks nothing. Draw the region in white, or in any "
                "colour on black or transparent ground."
            )
    if ignore is not None:
        ignored = _drawn(ignore, size if region is None else _size(region), images)
        if ignored.all():
            raise FlawmapError(f"The region is empty: {ignore} marks the whole image.")
        region = 1 - ignored if region is None else region * (1 - ignored)
    if region is None or not region.any():
        raise FlawmapError(f"The region is empty: {ignore} marks all that {roi} marks.")
    return region


def sizes_of(paths: Iterable[Path]) -> tuple[Size, ...]:
    """Return the (height, width) of each image whose header is readable."""
    return tuple(size for size in map(stated_size, paths) if size is not None)


def _drawn(path: Path, size: Size | None, images: Collection[Size]) -> Mask:
    mask = _json(path, images) if path.suffix.lower() == ".json" else None
    if mask is None:
        mask = read_mask(path, None, plain=True)
    _check_shape(path, _size(mask), images)
    wanted = size or _at_most(_size(mask))
    return mask if mask.shape == wanted else scaled(mask, wanted).astype(np.uint8)


def _check_shape(path: Path, drawn: Size, images: Collection[Size]) -> None:
    others = [size for size in images if not is_like(drawn, size)]
    if others:
        raise UsageError(
            f"{path} is {extent(drawn)}, whose shape differs from that of {len(others)} of the "
            f"{len(images)} images, such as {extent(others[0])}: draw it on such an image, at "
            "any scale, or name images of its shape with --images."
        )


def _json(path: Path, images: Collection[Size]) -> Mask:
    """Return the mask of a JSON file, at the size at which it was drawn."""
    annotated = only_image(path)
    if annotated is None:
        return _polygons(path)
    size = states_size(annotated) or next(iter(images), None)
    return draw_annotations(annotated, size).astype(np.uint8)


def _polygons(path: Path) -> Mask:
    polygons, (height, width) = _parsed(path)
    image = Image.new("L", (width, height))
    draw = ImageDraw.Draw(image)
    for polygon in polygons:
        draw.polygon([(x, y) for x, y in polygon], fill=1)
    return np.asarray(image)


def _parsed(path: Path) -> tuple[Sequence[Sequence[tuple[float, float]]], Size]:
    try:
        value = json.loads(read_regular(path, _MOST_BYTES).decode("utf-8-sig"))
        height, width = (int(side) for side in value["size"])
        polygons = [[(_within(x), _within(y)) for x, y in one] for one in value["polygons"]]
        if min(height, width) < 1 or not polygons or min(map(len, polygons)) < 3:
            raise ValueError("no area")
        if height * width > MAX_PIXELS:
            raise ValueError("too large")
    except OSError as error:
        raise UsageError(f"Cannot read {path}: {error.strerror}. Check its name.") from error
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise UsageError(
            f"{path} holds neither annotations of LabelMe, COCO or VIA nor polygons of three or "
            'more corners each: {"size": [height, width], "polygons": [[[x, y], ...]]}.'
        ) from error
    return polygons, (height, width)


def _within(value: Any) -> float:
    number = float(value)
    if not abs(number) < 1e6:  # this form also rejects NaN
        raise ValueError("a coordinate out of range")
    return number


def _at_most(size: Size) -> Size:
    """Return the size, or the largest allowed one of the same shape."""
    scale = min(1.0, math.sqrt(_MOST_PIXELS / math.prod(size)))
    return max(1, int(scale * size[0])), max(1, int(scale * size[1]))


def _size(mask: NDArray[Any]) -> Size:
    return mask.shape[0], mask.shape[1]
