"""How a photograph becomes windows of the working size, and where their maps belong.

A photograph is scaled and, where it is smaller than a window, padded: that is its *canvas*. Windows
are cut from the canvas, and a map has the scaled photograph's size, without the padding. The three
ways to fit differ in the scale alone:

- ``squash``: to the working size, whatever that does to the shape. One window.
- ``letterbox``: keeping the shape, so that it just fits into the working size. One window.
- ``tiles``: not at all. Windows in rows and columns, ``overlap`` pixels over each other.
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
    """Where the windows of one photograph lie.

    ``map_size`` is the scaled photograph's; ``tops`` and ``lefts`` are those of the rows and
    columns of windows in the canvas, whose order is row by row.
    """

    size: Size
    map_size: Size
    tops: tuple[int, ...]
    lefts: tuple[int, ...]

    @property
    def count(self) -> int:
        """How many windows there are."""
        return len(self.tops) * len(self.lefts)

    @property
    def canvas_size(self) -> Size:
        """Of the scaled photograph with its padding."""
        return max(self.map_size[0], self.size[0]), max(self.map_size[1], self.size[1])

    @property
    def padded(self) -> bool:
        """Whether any window shows more than the photograph."""
        return self.canvas_size != self.map_size

    @property
    def picture(self) -> Place:
        """The photograph in the canvas: in its middle."""
        return _middle(self.map_size[0], self.size[0]), _middle(self.map_size[1], self.size[1])

    def window(self, index: int) -> Place:
        """A window in the canvas."""
        row, column = divmod(index, len(self.lefts))
        top, left = self.tops[row], self.lefts[column]
        return slice(top, top + self.size[0]), slice(left, left + self.size[1])

    @property
    def shown(self) -> Place:
        """What of a window shows the photograph; it is the same in each."""
        rows, columns = self.picture
        return _first(rows, self.size[0]), _first(columns, self.size[1])


@dataclass(frozen=True, eq=False)
class Canvas:
    """A photograph of (height, width) laid out: ``pixels`` uint8 (H, W, 3), scaled and padded."""

    layout: Layout
    pixels: NDArray[np.uint8]
    photograph: Size

    def window(self, index: int) -> NDArray[np.uint8]:
        """Its pixels (h, w, 3), not copied."""
        return self.pixels[self.layout.window(index)]


@dataclass(frozen=True)
class Framing:
    """One way to fit photographs into windows of ``size``.

    ``overlap``: pixels by which neighbouring tiles overlap at least. ``white_level``: the 16-bit
    value that becomes 255; None for 65535 and for what a file's own tags say. Raises UsageError
    where the overlap is more than half a tile, there are no tiles to overlap, or no 16-bit value is
    the white level.
    """

    size: Size
    fit: Fit = "squash"
    overlap: int = 0
    white_level: int | None = None

    def __post_init__(self) -> None:
        if self.fit not in get_args(Fit):
            raise UsageError(f"No way to fit {self.fit!r}: give {', '.join(get_args(Fit))}.")
        if self.fit != "tiles" and self.overlap:
            raise UsageError("Only tiles overlap: fit tiles, or leave the overlap out.")
        if self.white_level is not None:
            check_white_level(self.white_level)
        most = min(self.size) // 2
        if not 0 <= self.overlap <= most:
            height, width = self.size
            raise UsageError(
                f"An overlap of {self.overlap} pixels does not go with tiles of {height}x{width}: "
                f"give 0 to {most}."
            )

    @property
    def tiled(self) -> bool:
        """Whether a photograph may become several windows."""
        return self.fit == "tiles"

    def layout(self, photograph: Size) -> Layout:
        """Of a photograph of this height and width."""
        map_size = self._scaled(photograph)
        tops, lefts = (
            _starts(length, side, self.overlap)
            for length, side in zip(map_size, self.size, strict=True)
        )
        return Layout(self.size, map_size, tops, lefts)

    def lay(self, image: NDArray[np.uint8]) -> Canvas:
        """Scale and pad a photograph (H, W, 3); where neither is needed its pixels are not copied.

        Padding repeats the photograph's edge: any other colour would end it in an edge that no part
        has, and a mirrored one would show a flaw twice.
        """
        photograph = image.shape[0], image.shape[1]
        scaled = resize_image(np.ascontiguousarray(image), self._scaled(photograph))
        return self._padded(scaled, photograph)

    def decode(
        self, frame: Frame, colour: Colour | None = None, *, name: str | None = None
    ) -> NDArray[np.uint8]:
        """The whole image as RGB, a copy of its own; see :func:`.arrays.as_rgb`."""
        return as_rgb(frame, colour, self.white_level, name=name)

    def read(self, source: Source, decoded: Callable[[], None] = lambda: None) -> Canvas:
        """As :meth:`lay` of a file or its bytes, without the whole photograph's array in between.

        ``decoded`` is called before scaling. Raises ImageError where it cannot be read.
        """

        def scaled(photograph: Size) -> Size:
            decoded()
            return self._scaled(photograph)

        return self._padded(*read_scaled(source, scaled, self.white_level))

    def _padded(self, scaled: NDArray[np.uint8], photograph: Size) -> Canvas:
        layout = self.layout(photograph)
        if not layout.padded:
            return Canvas(layout, scaled, photograph)
        around = [
            (place.start, whole - place.stop)
            for place, whole in zip(layout.picture, layout.canvas_size, strict=True)
        ]
        return Canvas(layout, np.pad(scaled, [*around, (0, 0)], mode="edge"), photograph)

    def _scaled(self, photograph: Size) -> Size:
        if self.fit == "squash":
            return self.size
        if self.fit == "tiles":
            return photograph
        scale = min(side / length for side, length in zip(self.size, photograph, strict=True))
        height, width = (
            min(side, max(1, round(scale * length)))
            for side, length in zip(self.size, photograph, strict=True)
        )
        return height, width


def default_overlap(size: Size) -> int:
    """Of tiles of this size: a quarter of the shorter side, in steps of 32 pixels.

    Neighbours that are whole cells of the network apart see the same positions of a photograph in
    the same places of their cells, and so agree where they overlap.
    """
    quarter = min(size) // 4
    return quarter // 32 * 32 or quarter


def _starts(length: int, side: int, overlap: int) -> tuple[int, ...]:
    """Where windows begin along one direction, the last one moved inwards to end with it."""
    last = max(0, length - side)
    return (*range(0, last, side - overlap), last)


def _middle(length: int, side: int) -> slice:
    before = max(0, side - length) // 2
    return slice(before, before + length)


def _first(place: slice, side: int) -> slice:
    return slice(place.start, min(place.stop, side))
