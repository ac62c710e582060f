"""Inspection of many images: decoding runs ahead of the model, in bounded memory."""

from __future__ import annotations

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
from flawmap.data.image_io.images import ImageError, declared_pixels, read_file
from flawmap.data.resize import Canvas
from flawmap.errors import FlawmapError, UsageError
from flawmap.inspection.tiled import Seen
from flawmap.types import Size
from flawmap.utils.printable import printable

if TYPE_CHECKING:
    from flawmap.inspection.inspector import Inspection, Inspector

_AHEAD = 8  # images decoded or being decoded at any time, besides the batch
_BUDGET = 250_000_000  # bytes of images held at any time, unless a single one is larger
_BYTES_A_PIXEL = 7  # as Pillow image plus array, or as array plus map
_DECODERS = 2

Item = TypeVar("Item")


@dataclass(frozen=True, eq=False)
class Inspected:
    """Result of one file: its inspection and the image's (height, width), or the reason why there
    is none. ``image``: the image itself, if requested."""

    path: Path
    size: Size = (0, 0)
    inspection: Inspection | None = None
    error: str | None = None
    image: NDArray[np.uint8] | None = None


@dataclass(frozen=True, eq=False)
class _Decoded:
    canvas: Canvas
    seconds: float
    image: NDArray[np.uint8] | None = None


_Outcome = tuple[_Decoded, "Inspection"] | Exception


def inspect_files(
    inspector: Inspector, paths: Iterable[Path], batch: int = 1, *, photographs: bool = False
) -> Generator[Inspected, None, None]:
    """Inspect files in order; an unreadable one yields an ``error`` and the rest continue.

    ``batch``: images per batch, which share its milliseconds equally. For tiled images it counts
    tiles, and images are processed one by one. ``photographs``: also return the images. An image
    on which the model fails yields an ``error`` too.
    """

    def decode(path: Path) -> _Decoded:
        start = time.perf_counter()
        if photographs:
            return _decoded(inspector.framing.decode(path), inspector, start)
        canvas = inspector.framing.read(path)
        return _Decoded(canvas, time.perf_counter() - start)

    whole = photographs or inspector.framing.tiled

    def cost(path: Path) -> int:
        return _BYTES_A_PIXEL * declared_pixels(path) if whole else 0

    for path, outcome in _stream(inspector, paths, decode, batch, _AHEAD, cost):
        if isinstance(outcome, Exception):
            yield Inspected(path, error=_told(path, outcome))
        else:
            decoded, inspection = outcome
            size = decoded.canvas.photograph
            yield Inspected(path, size, inspection, image=decoded.image)


def _told(path: Path, error: Exception) -> str:
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

    def decode(held: _Own | Exception) -> _Decoded:
        if isinstance(held, Exception):
            raise held
        start = time.perf_counter()
        image = held.frame
        if isinstance(image, bytes):
            image = inspector.framing.decode(image, colour, name=held.name)
        return _decoded(image, inspector, start)

    for _, outcome in _stream(inspector, _owned(frames, own), decode, batch, ahead):
        if isinstance(outcome, Exception):
            raise outcome
        yield outcome[1]


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


def _decoded(image: NDArray[np.uint8], inspector: Inspector, start: float) -> _Decoded:
    canvas = inspector.framing.lay(image)
    return _Decoded(canvas, time.perf_counter() - start, image)


def _stream(
    inspector: Inspector,
    items: Iterable[Item],
    decode: Callable[[Item], _Decoded],
    batch: int,
    ahead: int,
    cost: Callable[[Item], int] = lambda item: 0,
) -> Iterator[tuple[Item, _Outcome]]:
    """Yield items and their results in order; at most ``batch + ahead`` are held at any time.

    For tiled images it is ``1 + ahead``. ``cost``: bytes that an item takes; several held items
    take at most ``_BUDGET`` in total.
    """
    if batch < 1 or ahead < 0:
        raise UsageError("Give a batch of 1 or more, and 0 or more images ahead.")
    together = 1 if inspector.framing.tiled else batch
    remaining = _Priced(iter(items), cost)
    waiting: deque[tuple[Item, int, Future[_Decoded]]] = deque()
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
    inspector: Inspector, taken: Sequence[tuple[Item, Future[_Decoded]]], at_once: int
) -> Iterator[tuple[Item, _Outcome]]:
    """Run all decoded items through the model at once and judge them."""
    decoded = [_result(future) for _, future in taken]
    whole = [one.canvas for one in decoded if isinstance(one, _Decoded)]
    begun = time.perf_counter()
    answers = iter(_seen(inspector, whole, at_once))
    share = (time.perf_counter() - begun) / max(1, len(whole))
    for (item, _), one in zip(taken, decoded, strict=True):
        if isinstance(one, Exception):
            yield item, one
            continue
        answer = next(answers)
        if isinstance(answer, Exception):
            yield item, answer
            continue
        start = time.perf_counter() - share - one.seconds
        yield item, (one, inspector.judge(*answer, one.canvas.photograph, start))


def _result(future: Future[_Decoded]) -> _Decoded | Exception:
    try:
        return future.result()
    except Exception as error:  # such as out of memory: affects only one image
        return error


def _seen(inspector: Inspector, canvases: Sequence[Canvas], at_once: int) -> list[Seen | Exception]:
    """Return the model's output for each image; if it fails, retry image by image.

    Runtimes may raise any exception, and the failure of one image must not end a stream.
    """
    try:
        return list(inspector.see(canvases, at_once))
    except UsageError:  # a wrong call, independent of the image
        raise
    except Exception as error:
        if len(canvases) == 1:
            return [error]
    return [one for canvas in canvases for one in _seen(inspector, [canvas], at_once)]
