"""Conversion of an image to tiles of the working size, and placement of their anomaly maps.

An image is scaled and, if it is smaller than a tile, padded. Tiles are cut from the padded image; a
map has the size of the scaled image, without the padding. The three ways to fit differ only in
scale:

- ``squash``: scale to the working size regardless of aspect ratio. One tile.
- ``letterbox``: keep the aspect ratio and scale to fit into the working size. One tile.
- ``tiles``: keep native resolution and cut overlapping tiles on a grid, ``overlap`` pixels wide.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from flawmap.data.image_io.arrays import Colour, Frame, as_rgb
from flawmap.data.image_io.images import Source, read_scaled, resize_image
from flawmap.data.image_io.white_level import check_white_level
from flawmap.errors import UsageError
from flawmap.types import Fit, Size

Place = tuple[slice, slice]  # rows, columns


@dataclass(frozen=True)
class Layout:
    """Positions of the tiles of one image.

    ``map_size`` is the scaled image's size; ``tops`` and ``lefts`` are those of the rows and
    columns of tiles in the padded image. Tiles are ordered row by row.
    """

    size: Size
    map_size: Size
    tops: tuple[int, ...]
    lefts: tuple[int, ...]

    @property
    def count(self) -> int:
        """Number of tiles."""
        return len(self.tops) * len(self.lefts)

    @property
    def padded_size(self) -> Size:
        """Size of the padded image."""
        return max(self.map_size[0], self.size[0]), max(self.map_size[1], self.size[1])

    @property
    def padded(self) -> bool:
        """Whether any tile contains padding."""
        return self.padded_size != self.map_size

    @property
    def image_in_padded(self) -> Place:
        """Place of the scaled image in the padded image: its centre."""
        return _middle(self.map_size[0], self.size[0]), _middle(self.map_size[1], self.size[1])

    def tile(self, index: int) -> Place:
        """Return the place of a tile in the padded image."""
        row, column = divmod(index, len(self.lefts))
        top, left = self.tops[row], self.lefts[column]
        return slice(top, top + self.size[0]), slice(left, left + self.size[1])

    @property
    def image_in_tile(self) -> Place:
        """Part of a tile that shows the image; it is the same in every tile."""
        rows, columns = self.image_in_padded
        return _first(rows, self.size[0]), _first(columns, self.size[1])


@dataclass(frozen=True, eq=False)
class PaddedImage:
    """A padded image: ``pixels`` uint8 (H, W, 3); ``image_size``: its unscaled (height, width)."""

    layout: Layout
    pixels: NDArray[np.uint8]
    image_size: Size

    def tile(self, index: int) -> NDArray[np.uint8]:
        """Return a tile's pixels (h, w, 3) as a view."""
        return self.pixels[self.layout.tile(index)]


@dataclass(frozen=True)
class Framing:
    """One way to fit images into tiles of ``size``.

    ``overlap``: minimum overlap of neighbouring tiles in pixels. ``white_level``: the 16-bit value
    that becomes 255; None for the value in a file's own tags, else 65535. Raises UsageError if the
    overlap exceeds half a tile or is given without tiles, or if 16-bit values cannot have the white
    level.
    """

    size: Size
    fit: Fit = "squash"
    overlap: int = 0
    white_level: int | None = None

    def __post_init__(self) -> None:
        if self.fit not in get_args(Fit):
            raise UsageError(f"Unknown fit {self.fit!r}: give one of {', '.join(get_args(Fit))}.")
        if self.fit != "tiles" and self.overlap:
            raise UsageError("Only tiles can overlap: give --fit tiles, or leave --overlap out.")
        if self.white_level is not None:
            check_white_level(self.white_level)
        most = min(self.size) // 2
        if not 0 <= self.overlap <= most:
            height, width = self.size
            raise UsageError(
                f"The overlap {self.overlap} does not fit tiles of {height}x{width} pixels: "
                f"give 0 to {most}."
            )

    @property
    def tiled(self) -> bool:
        """Whether an image may become several tiles."""
        return self.fit == "tiles"

    def layout(self, image_size: Size) -> Layout:
        """Return the layout for an image of this (height, width)."""
        map_size = self._scaled(image_size)
        tops, lefts = (
            _starts(length, side, self.overlap)
            for length, side in zip(map_size, self.size, strict=True)
        )
        return Layout(self.size, map_size, tops, lefts)

    def preprocess(self, image: NDArray[np.uint8]) -> PaddedImage:
        """Scale and pad an image (H, W, 3); if neither is needed, its pixels are not copied.

        Padding repeats the image's edge pixels: another colour would add an edge that no part has,
        and mirroring would show a defect twice.
        """
        image_size = image.shape[0], image.shape[1]
        scaled = resize_image(np.ascontiguousarray(image), self._scaled(image_size))
        return self._padded(scaled, image_size)

    def decode(
        self, frame: Frame, colour: Colour | None = None, *, name: str | None = None
    ) -> NDArray[np.uint8]:
        """Return the whole image as an RGB copy; see :func:`.arrays.as_rgb`."""
        return as_rgb(frame, colour, self.white_level, name=name)

    def read(
        self,
        source: Source,
        decoded: Callable[[], None] = lambda: None,
        *,
        name: str | None = None,
    ) -> PaddedImage:
        """Apply :meth:`preprocess` to a file or its bytes, without an array of the full-size image.

        ``decoded`` is called before scaling; ``name`` is the image's name in messages, by default
        the path. Raises ImageError if it cannot be read.
        """

        def scaled(image_size: Size) -> Size:
            decoded()
            return self._scaled(image_size)

        return self._padded(*read_scaled(source, scaled, self.white_level, name=name))

    def _padded(self, scaled: NDArray[np.uint8], image_size: Size) -> PaddedImage:
        layout = self.layout(image_size)
        if not layout.padded:
            return PaddedImage(layout, scaled, image_size)
        around = [
            (place.start, whole - place.stop)
            for place, whole in zip(layout.image_in_padded, layout.padded_size, strict=True)
        ]
        return PaddedImage(layout, np.pad(scaled, [*around, (0, 0)], mode="edge"), image_size)

    def _scaled(self, image_size: Size) -> Size:
        if self.fit == "squash":
            return self.size
        if self.fit == "tiles":
            return image_size
        scale = min(side / length for side, length in zip(self.size, image_size, strict=True))
        height, width = (
            min(side, max(1, round(scale * length)))
            for side, length in zip(self.size, image_size, strict=True)
        )
        return height, width


def default_overlap(size: Size) -> int:
    """Return the default overlap: a quarter of a tile's shorter side, in steps of 32 pixels.

    If neighbouring tiles are a whole number of network cells apart, image positions fall on the
    same places in their cells, so that the tiles agree where they overlap.
    """
    quarter = min(size) // 4
    return quarter // 32 * 32 or quarter


def _starts(length: int, side: int, overlap: int) -> tuple[int, ...]:
    """Return where tiles start along one axis; the last one is moved inwards to end at the edge."""
    last = max(0, length - side)
    return (*range(0, last, side - overlap), last)


def _middle(length: int, side: int) -> slice:
    before = max(0, side - length) // 2
    return slice(before, before + length)


def _first(place: slice, side: int) -> slice:
    return slice(place.start, min(place.stop, side))
