"""Images at native resolution in one memory-mapped file, and the tiles cut from them."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flawmap.data.resize import Framing, Layout
from flawmap.data.samples import DatasetError
from flawmap.data.store import LoadedImages, Reading, decoders, fingerprint, warn_if_black
from flawmap.errors import UsageError
from flawmap.types import Size


@dataclass(frozen=True, eq=False)
class Tiles:
    """The tiles of images, cut on demand.

    ``pixels`` uint8 (bytes,) holds the images one after another, each padded to at least one tile;
    ``padded`` (P, 3) holds each padded image's start, height and width; ``places`` (N, 3) each
    tile's image number, and its top and left in that image.
    """

    pixels: NDArray[np.uint8]
    padded: NDArray[np.int64]
    places: NDArray[np.int64]
    framing: Framing

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return tiles (B, h, w, 3) of the rows (B,)."""
        return np.stack([self._cut(*place) for place in self.places[rows].tolist()])

    def near(self, rows: NDArray[np.int64], moves: NDArray[np.float64]) -> NDArray[np.uint8]:
        """Return tiles shifted down and right by ``moves`` (B, 2), -0.5 to 0.5 tile distances.

        No tile leaves its image. Over uniform moves every position is equally likely, except along
        the edges of the images.
        """
        strides = np.array(self.framing.size) - self.framing.overlap
        places = self.places[rows]
        room = self.padded[places[:, 0], 1:] - self.framing.size
        moved = places[:, 1:] + np.rint(moves * strides).astype(np.int64)
        places[:, 1:] = moved.clip(0, room)
        return np.stack([self._cut(*place) for place in places.tolist()])

    def rows_of(self, images: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the rows of all tiles of these images, in order."""
        return np.flatnonzero(np.isin(self.places[:, 0], images))

    def padded_image(self, number: int) -> NDArray[np.uint8]:
        """Return one padded image (H, W, 3)."""
        start, height, width = self.padded[number].tolist()
        return self.pixels[start : start + height * width * 3].reshape(height, width, 3)

    def _cut(self, number: int, top: int, left: int) -> NDArray[np.uint8]:
        image = self.padded_image(number)
        return image[top : top + self.framing.size[0], left : left + self.framing.size[1]]


def load_tiles(
    paths: Iterable[Path],
    framing: Framing,
    cache_dir: Path,
    *,
    workers: int | None = None,
    max_unreadable: float = 0.05,
) -> LoadedImages:
    """Decode images into a file in ``cache_dir``, and place tiles on them.

    The pixels stay in the file; the operating system decides which are in memory. Unreadable images
    are skipped, and errors raised, as by :func:`load_images`.
    """
    paths = tuple(paths)
    if not paths:
        raise UsageError("There are no images to load: give at least one path.")
    threads = decoders(workers)
    reading = Reading(paths, framing, threads, max_unreadable, ahead=2 * threads)
    temporary = cache_dir / f".flawmap-{secrets.token_hex(8)}.tmp"
    try:
        shapes = _write(reading, temporary)
        height, width = framing.size
        path = cache_dir / f"tiles-{fingerprint(reading.sha256)[:16]}-{height}x{width}.bin"
        temporary.replace(path)
    except OSError as error:
        raise DatasetError(
            f"{cache_dir} cannot hold the decoded images ({error.strerror}): free some space, or "
            "choose another folder."
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink()
    pixels = np.memmap(path, np.uint8, "r")
    layouts = [framing.layout(size) for size in reading.sizes]
    tiles = Tiles(pixels, _padded(shapes), _places(layouts), framing)
    warn_if_black(tiles[np.arange(min(64, len(tiles)))])
    return reading.loaded(tiles)


def _write(reading: Reading, path: Path) -> list[Size]:
    """Write the pixels of every padded image; return their heights and widths."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shapes = []
    with path.open("xb") as file:
        for image in reading:
            file.write(np.ascontiguousarray(image).data)
            shapes.append((image.shape[0], image.shape[1]))
    return shapes


def _padded(shapes: list[Size]) -> NDArray[np.int64]:
    padded = np.array([(0, *shape) for shape in shapes], np.int64)
    lengths = padded[:, 1] * padded[:, 2] * 3
    padded[:, 0] = np.cumsum(lengths) - lengths
    return padded


def _places(layouts: list[Layout]) -> NDArray[np.int64]:
    places = [
        (number, rows.start, columns.start)
        for number, layout in enumerate(layouts)
        for rows, columns in map(layout.tile, range(layout.count))
    ]
    return np.array(places, np.int64)
