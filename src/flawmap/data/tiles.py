"""Photographs at their own size in one memory-mapped file, and the tiles that are cut from them."""

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
    """The tiles of photographs, cut when asked for.

    ``pixels`` uint8 (bytes,) holds the photographs one after another, each padded to a tile at
    least; ``canvases`` (P, 3) says where each begins, its height and its width; ``places`` (N, 3)
    of every tile which photograph it is of, and its top and left there.
    """

    pixels: NDArray[np.uint8]
    canvases: NDArray[np.int64]
    places: NDArray[np.int64]
    framing: Framing

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Tiles (B, h, w, 3) of the rows (B,)."""
        return np.stack([self._cut(*place) for place in self.places[rows].tolist()])

    def near(self, rows: NDArray[np.int64], moves: NDArray[np.float64]) -> NDArray[np.uint8]:
        """As many, moved down and right by ``moves`` (B, 2) of their distance, -0.5 to 0.5.

        None is moved out of its photograph. Over all moves every place is as likely as the next,
        but for those along the photographs' edges.
        """
        strides = np.array(self.framing.size) - self.framing.overlap
        places = self.places[rows]
        room = self.canvases[places[:, 0], 1:] - self.framing.size
        moved = places[:, 1:] + np.rint(moves * strides).astype(np.int64)
        places[:, 1:] = moved.clip(0, room)
        return np.stack([self._cut(*place) for place in places.tolist()])

    def rows_of(self, photographs: NDArray[np.int64]) -> NDArray[np.int64]:
        """All tiles of these photographs, in order."""
        return np.flatnonzero(np.isin(self.places[:, 0], photographs))

    def photograph(self, number: int) -> NDArray[np.uint8]:
        """One photograph (H, W, 3), with its padding."""
        start, height, width = self.canvases[number].tolist()
        return self.pixels[start : start + height * width * 3].reshape(height, width, 3)

    def _cut(self, photograph: int, top: int, left: int) -> NDArray[np.uint8]:
        canvas = self.photograph(photograph)
        return canvas[top : top + self.framing.size[0], left : left + self.framing.size[1]]


def load_tiles(
    paths: Iterable[Path],
    framing: Framing,
    cache_dir: Path,
    *,
    workers: int | None = None,
    max_unreadable: float = 0.05,
) -> LoadedImages:
    """Decode photographs into a file in ``cache_dir``, and lay tiles over them.

    Their pixels stay in the file: what is in memory is the system's to keep or to drop. Unreadable
    ones are skipped as :func:`load_images` does, which also says what is raised.
    """
    paths = tuple(paths)
    if not paths:
        raise UsageError("no images to load; give at least one path")
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
            f"{cache_dir}: cannot hold the decoded images ({error.strerror}); free some space, or "
            "choose another folder"
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink()
    pixels = np.memmap(path, np.uint8, "r")
    layouts = [framing.layout(size) for size in reading.sizes]
    tiles = Tiles(pixels, _canvases(shapes), _places(layouts), framing)
    warn_if_black(tiles[np.arange(min(64, len(tiles)))])
    return reading.loaded(tiles)


def _write(reading: Reading, path: Path) -> list[Size]:
    """The pixels of every canvas; its height and width."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shapes = []
    with path.open("xb") as file:
        for canvas in reading:
            file.write(np.ascontiguousarray(canvas).data)
            shapes.append((canvas.shape[0], canvas.shape[1]))
    return shapes


def _canvases(shapes: list[Size]) -> NDArray[np.int64]:
    found = np.array([(0, *shape) for shape in shapes], np.int64)
    lengths = found[:, 1] * found[:, 2] * 3
    found[:, 0] = np.cumsum(lengths) - lengths
    return found


def _places(layouts: list[Layout]) -> NDArray[np.int64]:
    places = [
        (number, window[0].start, window[1].start)
        for number, layout in enumerate(layouts)
        for window in map(layout.window, range(layout.count))
    ]
    return np.array(places, np.int64)
