"""Storage of many images, decoded once into one array: in memory, or memory-mapped if large."""

from __future__ import annotations

import hashlib
import logging
import math
import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from flawmap.data.image_io.images import ImageError, read_file, source_name
from flawmap.data.resize import Framing
from flawmap.data.samples import DatasetError, plural
from flawmap.errors import UsageError
from flawmap.types import Fit

if TYPE_CHECKING:
    from flawmap.data.tiles import Tiles

_NAMED = 5  # unreadable images named one by one
_LOG = logging.getLogger("flawmap")
_AHEAD = 64  # maximum number of images decoded before the first of them is stored
_BLACK = 16  # highest value of an almost black image


@dataclass(frozen=True)
class LoadedImages:
    """The readable images, in the order given.

    `array` is uint8 (N, h, w, 3), C-contiguous, or, if an image has several tiles, returns such
    tiles for row numbers. The other tuples have one entry per image, `sizes` the (height, width)
    of each file itself. `skipped` names the unreadable files, each with its reason.
    """

    array: NDArray[np.uint8] | Tiles
    paths: tuple[Path, ...]
    sizes: tuple[tuple[int, int], ...]
    sha256: tuple[str, ...]
    skipped: tuple[tuple[Path, str], ...] = ()

    def rows_of(self, images: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the rows of the array that show these images."""
        return images if isinstance(self.array, np.ndarray) else self.array.rows_of(images)

    def image(self, index: int) -> NDArray[np.uint8]:
        """Return one image (h, w, 3) as fitted: its tile, or the padded image for several tiles."""
        if isinstance(self.array, np.ndarray):
            image: NDArray[np.uint8] = self.array[index]
            return image
        return self.array.padded_image(index)


def load_images(
    paths: Iterable[Path],
    size: tuple[int, int],
    *,
    fit: Fit = "squash",
    white_level: int | None = None,
    memory_limit_bytes: int = 2 * 2**30,
    cache_dir: Path | None = None,
    workers: int | None = None,
    max_unreadable: float = 0.05,
) -> LoadedImages:
    """Decode images and fit them, squashed or letterboxed, to `size`, (height, width).

    A few threads decode. Above `memory_limit_bytes` the array is stored as an .npy file in
    `cache_dir` and memory-mapped, copy on write. Unreadable images are skipped, each with a line in
    the log "flawmap". `white_level`: the 16-bit value that becomes 255; see :class:`Framing`.

    Raises `DatasetError` if more than the fraction `max_unreadable` of them, or all, cannot be
    read, or if the cache cannot be written.
    """
    paths = tuple(paths)
    if not paths:
        raise UsageError("There are no images to load: give at least one path.")
    shape = (len(paths), *size, 3)
    framing = Framing(size, fit, white_level=white_level)
    kept = Reading(paths, framing, decoders(workers), max_unreadable)
    if math.prod(shape) <= memory_limit_bytes:
        array = _in_memory(kept, shape)
    else:
        array = _in_file(kept, shape, cache_dir)
    warn_if_black(array[:_AHEAD])
    return kept.loaded(array)


def decoders(asked: int | None) -> int:
    """Return the number of decoding threads."""
    return asked or min(4, os.cpu_count() or 1)


def warn_if_black(some: NDArray[np.uint8]) -> None:
    """Log a warning if images (n, h, w, 3) are so dark that it is likely a mistake."""
    if some.max() <= _BLACK:
        _LOG.warning("The images are almost black: check the exposure, or give --white-level.")


def fingerprint(sha256s: Iterable[str]) -> str:
    """Return one SHA-256 over the files' SHA-256s, independent of their order."""
    return hashlib.sha256("\n".join(sorted(sha256s)).encode()).hexdigest()


class _Read(NamedTuple):
    image: NDArray[np.uint8]
    size: tuple[int, int]
    sha256: str


class Reading:
    """Single-pass iterator over the readable images, fitted; it records the result of each path."""

    def __init__(
        self,
        asked: Sequence[Path],
        framing: Framing,
        workers: int,
        max_unreadable: float,
        ahead: int = _AHEAD,
    ) -> None:
        self.paths: list[Path] = []
        self.sizes: list[tuple[int, int]] = []
        self.sha256: list[str] = []
        self.skipped: list[tuple[Path, str]] = []
        self._asked, self._framing, self._workers, self._ahead = asked, framing, workers, ahead
        self._max_unreadable = max_unreadable

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        reads = _read_all(self._asked, self._framing, self._workers, self._ahead)
        for path, read in zip(self._asked, reads, strict=True):
            if isinstance(read, ImageError):
                self.skipped.append((path, str(read)))
                if len(self.skipped) <= _NAMED:
                    _LOG.warning("skipped %s", read)
            else:
                self.paths.append(path)
                self.sizes.append(read.size)
                self.sha256.append(read.sha256)
                yield read.image
        self._check()

    def loaded(self, array: NDArray[np.uint8] | Tiles) -> LoadedImages:
        """Return the result, after iteration has ended."""
        paths, sizes, sha256 = tuple(self.paths), tuple(self.sizes), tuple(self.sha256)
        return LoadedImages(array, paths, sizes, sha256, tuple(self.skipped))

    def _check(self) -> None:
        bad, asked = len(self.skipped), len(self._asked)
        if bad > _NAMED:
            _LOG.warning("skipped %s, of which %d are named above", plural(bad, "image(s)"), _NAMED)
        if bad == asked or bad > self._max_unreadable * asked:
            first = "; ".join(reason.split(";")[0] for _, reason in self.skipped[:3])
            raise DatasetError(
                f"{bad} of {plural(asked, 'image(s)')} cannot be read, and at most "
                f"{self._max_unreadable:.0%} may be skipped: repair or remove them.\n{first}"
                + (" ..." if bad > 3 else "")
            )


def _read_all(
    paths: Sequence[Path], framing: Framing, workers: int, ahead: int
) -> Iterator[_Read | ImageError]:
    """Yield the result for each path, in order, reading a bounded number ahead."""
    with ThreadPoolExecutor(workers, "flawmap-decode") as pool:
        for start in range(0, len(paths), ahead):
            yield from pool.map(lambda path: _read(path, framing), paths[start : start + ahead])


def _read(path: Path, framing: Framing) -> _Read | ImageError:
    try:
        data = read_file(path)
        image = framing.decode(data, name=source_name(path))
    except ImageError as error:
        return error
    height, width = image.shape[:2]
    return _Read(
        framing.preprocess(image).pixels, (height, width), hashlib.sha256(data).hexdigest()
    )


def _in_memory(kept: Reading, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    array = np.empty(shape, np.uint8)
    for row, image in enumerate(kept):
        array[row] = image
    return array[: len(kept.paths)]


def _in_file(kept: Reading, shape: tuple[int, ...], folder: Path | None) -> NDArray[np.uint8]:
    gigabytes = f"{math.prod(shape) / 1e9:.1f} GB"
    if folder is None:
        raise UsageError(
            f"{plural(shape[0], 'image(s)')} take {gigabytes} decoded, more than the memory limit: "
            "give a cache_dir, or raise memory_limit_bytes."
        )
    temporary = folder / f".flawmap-{secrets.token_hex(8)}.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as file:
            _write_npy(file, kept, shape)
        final = folder / f"images-{fingerprint(kept.sha256)[:16]}-{shape[1]}x{shape[2]}.npy"
        temporary.replace(final)
    except OSError as error:
        raise DatasetError(
            f"{folder} cannot hold {gigabytes} of decoded images ({error.strerror}): "
            "free some space, or choose another folder."
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink()
    array: NDArray[np.uint8] = np.load(final, mmap_mode="c")
    return array


def _write_npy(file: BinaryIO, kept: Reading, shape: tuple[int, ...]) -> None:
    """Write header, images and the header again, as the number readable is only known then.

    Not ``open_memmap``: it fixes that number before, and a full disk then ends the process with a
    bus error instead of an OSError.
    """
    _write_header(file, shape)
    for image in kept:
        file.write(image.tobytes())
    file.seek(0)
    _write_header(file, (len(kept.paths), *shape[1:]))  # same length: NumPy reserves space


def _write_header(file: BinaryIO, shape: tuple[int, ...]) -> None:
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    npy.write_array_header_1_0(file, header)
