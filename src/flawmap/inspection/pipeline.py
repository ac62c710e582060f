"""Inspection of many images: decoding runs ahead of the model, in bounded memory."""

from __future__ import annotations

import hashlib
import os
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from flawmap.data.image_io.arrays import Colour, Frame, check_colour, check_several
from flawmap.data.image_io.images import ImageError, declared_pixels, read_file, source_name
from flawmap.data.resize import PaddedImage
from flawmap.data.urls import is_url, read_url
from flawmap.errors import FlawmapError, UsageError
from flawmap.inspection.decision import ImageInfo, Inspection, Outcome
from flawmap.inspection.tiled import RawPrediction
from flawmap.utils.printable import printable

if TYPE_CHECKING:
    from flawmap.inspection.inspector import Inspector

_AHEAD = 8  # images decoded or being decoded at any time, besides the batch
_BUDGET = 250_000_000  # bytes of images held at any time, unless a single one is larger
_URLS = 4  # whole images from URLs at any time, as their sizes are not known
_BYTES_A_PIXEL = 7  # Pillow image plus array, or array plus map
_DECODERS = 2

Item = TypeVar("Item")


@dataclass(frozen=True, eq=False)
class Decoded:
    """An image ready for the model, and the seconds that took."""

    padded: PaddedImage
    info: ImageInfo
    seconds: float


@dataclass(frozen=True, eq=False)
class Failed:
    """Why an image has no result, and the SHA-256 of its file if that could be read."""

    error: Exception
    sha256: str | None = None


def inspect_files(
    inspector: Inspector, paths: Iterable[Path | str], batch: int = 1, *, keep_images: bool = False
) -> Generator[Outcome, None, None]:
    """Inspect files in order; one that fails yields a record with an error, and the rest continue.

    ``batch``: images per batch, which share its milliseconds equally. For tiled images it counts
    tiles, and images are processed one by one. ``keep_images``: the inspections hold the images.
    A path that is a text may be a URL.
    """

    def decode(path: Path | str) -> Decoded | Failed:
        start = time.perf_counter()
        data = read_url(str(path)) if is_url(path) else read_file(path)
        return decode_bytes(inspector, data, path, source_name(path), start, keep_image=keep_images)

    whole = keep_images or inspector.framing.tiled

    def cost(path: Path | str) -> int:
        if is_url(path):
            return _BUDGET // _URLS if whole else 0
        return _BYTES_A_PIXEL * declared_pixels(path) if whole else 0

    for path, outcome in _stream(inspector, paths, decode, batch, _AHEAD, cost):
        if isinstance(outcome, Failed):
            yield inspector.failed(str(path), outcome.sha256, message_of(path, outcome.error))
        else:
            yield outcome


def message_of(path: Path | str, error: Exception) -> str:
    """Return a one-line message that names the file."""
    if isinstance(error, ImageError):
        return str(error)
    reason = str(error) if isinstance(error, FlawmapError) else f"{type(error).__name__}: {error}"
    return f"{printable(path)}: {' '.join(reason.split())}"


def inspect_frames(
    inspector: Inspector,
    frames: Iterable[Frame],
    *,
    colour: Colour,
    batch: int = 1,
    ahead: int = 0,
) -> Iterator[Inspection]:
    """Implement :meth:`Inspector.inspect_frames`."""
    check_colour(colour)
    check_several(frames)

    def own(frame: Frame) -> _Own:
        if isinstance(frame, bytes):
            return _Own(frame)
        if isinstance(frame, str | os.PathLike):
            return _Own(read_file(os.fsdecode(frame)), os.fsdecode(frame))
        return _Own(inspector.framing.decode(frame, colour))

    def decode(held: _Own | Exception) -> Decoded | Failed:
        if isinstance(held, Exception):
            raise held
        start = time.perf_counter()
        if isinstance(held.frame, bytes):
            return decode_bytes(inspector, held.frame, held.name, held.name, start)
        padded = inspector.framing.preprocess(held.frame)
        return Decoded(padded, ImageInfo(padded.image_size), time.perf_counter() - start)

    for _, outcome in _stream(inspector, _owned(frames, own), decode, batch, ahead):
        if isinstance(outcome, Failed):
            raise outcome.error
        yield outcome


@dataclass(frozen=True, eq=False)
class _Own:
    """Frame that its owner can no longer change: the content of a file, or an RGB array."""

    frame: bytes | NDArray[np.uint8]
    name: str | None = None


def _owned(frames: Iterable[Frame], own: Callable[[Frame], _Own]) -> Iterator[_Own | Exception]:
    """Copy each frame before the next is fetched: a camera may reuse its buffer or file.

    An invalid frame or a failing camera yields the error in its place, so that earlier frames are
    still inspected.
    """
    source = iter(frames)
    while True:
        try:
            held = own(next(source))
        except StopIteration:
            return
        except Exception as error:
            yield error
            return
        yield held


def decode_bytes(
    inspector: Inspector,
    data: bytes,
    path: str | Path | None,
    name: str | None,
    start: float,
    *,
    keep_image: bool = False,
) -> Decoded | Failed:
    """Decode the content of a file; ``name`` is its name in messages. Never raises."""
    sha256 = hashlib.sha256(data).hexdigest()
    framing, pixels = inspector.framing, None
    try:
        if keep_image:
            pixels = framing.decode(data, name=name)
            padded = framing.preprocess(pixels)
        else:
            padded = framing.read(data, name=name)
    except Exception as error:  # such as out of memory: affects only one image
        return Failed(error, sha256)
    info = ImageInfo(padded.image_size, None if path is None else str(path), sha256, pixels)
    return Decoded(padded, info, time.perf_counter() - start)


def _stream(
    inspector: Inspector,
    items: Iterable[Item],
    decode: Callable[[Item], Decoded | Failed],
    batch: int,
    ahead: int,
    cost: Callable[[Item], int] = lambda item: 0,
) -> Iterator[tuple[Item, Inspection | Failed]]:
    """Yield items and their results in order; at most ``batch + ahead`` are held at any time.

    For tiled images it is ``1 + ahead``. ``cost``: bytes that an item takes; several held items
    take at most ``_BUDGET`` in total.
    """
    if batch < 1 or ahead < 0:
        raise UsageError("The batch must be 1 or more, and ahead 0 or more images.")
    together = 1 if inspector.framing.tiled else batch
    remaining = _Priced(iter(items), cost)
    waiting: deque[tuple[Item, int, Future[Decoded | Failed]]] = deque()
    held = 0
    pool = ThreadPoolExecutor(_DECODERS, "flawmap-decode")
    try:
        while True:
            while len(waiting) < together + ahead and (priced := remaining.take(held)):
                item, size = priced
                waiting.append((item, size, pool.submit(decode, item)))
                held += size
            if not waiting:
                return
            taken = [waiting.popleft() for _ in range(min(together, len(waiting)))]
            yield from _inspect(inspector, [(item, future) for item, _, future in taken], batch)
            held -= sum(size for _, size, _ in taken)
            del taken
    finally:
        pool.shutdown(cancel_futures=True)


@dataclass
class _Priced(Generic[Item]):
    """Iterator over items and the bytes that each takes."""

    items: Iterator[Item]
    cost: Callable[[Item], int]
    _next: list[tuple[Item, int]] = field(default_factory=list)

    def take(self, held: int) -> tuple[Item, int] | None:
        """Return the next item; None after the last or if it does not fit beside ``held`` bytes."""
        if not self._next:
            for item in self.items:
                self._next.append((item, self.cost(item)))
                break
            else:
                return None
        if held and held + self._next[0][1] > _BUDGET:
            return None
        return self._next.pop()


def _inspect(
    inspector: Inspector,
    taken: Sequence[tuple[Item, Future[Decoded | Failed]]],
    batch: int,
) -> Iterator[tuple[Item, Inspection | Failed]]:
    """Run all decoded items through the model at once and decide on each."""
    decoded = [_result(future) for _, future in taken]
    padded = [one.padded for one in decoded if isinstance(one, Decoded)]
    begun = time.perf_counter()
    predictions = iter(infer_each(inspector, padded, batch))
    share = (time.perf_counter() - begun) / max(1, len(padded))
    for (item, _), one in zip(taken, decoded, strict=True):
        if isinstance(one, Failed):
            yield item, one
            continue
        prediction = next(predictions)
        if isinstance(prediction, Exception):
            yield item, Failed(prediction, one.info.sha256)
            continue
        start = time.perf_counter() - share - one.seconds
        yield item, _judged(inspector, prediction, one.info, start)


def _judged(
    inspector: Inspector, prediction: RawPrediction, image: ImageInfo, start: float
) -> Inspection | Failed:
    try:
        return inspector.post_process(prediction, image, start)
    except ImageError as error:
        return Failed(error, image.sha256)


def _result(future: Future[Decoded | Failed]) -> Decoded | Failed:
    try:
        return future.result()
    except Exception as error:  # such as out of memory: affects only one image
        return Failed(error)


def infer_each(
    inspector: Inspector, images: Sequence[PaddedImage], batch: int
) -> list[RawPrediction | Exception]:
    """Return the model's output for each image; if it fails, retry image by image.

    Runtimes may raise any exception, and the failure of one image must not end a stream.
    """
    try:
        return list(inspector.infer(images, batch))
    except UsageError:  # a wrong call, independent of the image
        raise
    except Exception as error:
        if len(images) == 1:
            return [error]
    return [one for image in images for one in infer_each(inspector, [image], batch)]
