"""Inspecting many images: decoding runs ahead of the graph, in bounded memory."""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from flawmap.errors import FlawmapError, UsageError
from flawmap.frames import Colour, Frame, check_colour
from flawmap.framing import Canvas, Size
from flawmap.inspector.inspector import Inspection, Inspector

_AHEAD = 8  # images decoded or in decoding at any time, beside the batch
_TILED_AHEAD = 1  # likewise, where images are large
_DECODERS = 2

Item = TypeVar("Item")


@dataclass(frozen=True)
class Inspected:
    """One file's outcome: its inspection and the photograph's (height, width), or the reason why
    there is none. ``image``: the photograph, where it was asked for."""

    path: Path
    size: Size = (0, 0)
    inspection: Inspection | None = None
    error: str | None = None
    image: NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class _Decoded:
    canvas: Canvas
    seconds: float
    image: NDArray[np.uint8] | None = None


_Outcome = tuple[_Decoded, Inspection] | FlawmapError


def inspect_files(
    inspector: Inspector, paths: Iterable[Path], batch: int = 1, *, photographs: bool = False
) -> Iterator[Inspected]:
    """Inspect files in order; one that cannot be read gives an ``error`` and the rest go on.

    ``batch``: images that go through the graph at once; all of a batch have its milliseconds,
    shared out. Of tiled images it is the tiles that do, and images are taken one by one.
    ``photographs``: give them, too.
    """

    def decode(path: Path) -> _Decoded:
        start = time.perf_counter()
        if photographs:
            return _decoded(inspector.framing.decode(path), inspector, start)
        canvas = inspector.framing.read(path)
        return _Decoded(canvas, time.perf_counter() - start)

    ahead = _TILED_AHEAD if inspector.framing.tiled else _AHEAD
    for path, outcome in _stream(inspector, paths, decode, batch, ahead):
        if isinstance(outcome, FlawmapError):
            yield Inspected(path, error=str(outcome))
        else:
            decoded, inspection = outcome
            size = decoded.canvas.photograph
            yield Inspected(path, size, inspection, image=decoded.image)


def inspect_frames(
    inspector: Inspector,
    frames: Iterable[Frame],
    *,
    colour: Colour,
    batch: int = 1,
    ahead: int = 0,
) -> Iterator[Inspection]:
    """What :meth:`Inspector.inspect_frames` does."""
    check_colour(colour)

    def decode(frame: Frame) -> _Decoded:
        start = time.perf_counter()
        return _decoded(inspector.framing.decode(frame, colour), inspector, start)

    for _, outcome in _stream(inspector, frames, decode, batch, ahead):
        if isinstance(outcome, FlawmapError):
            raise outcome
        yield outcome[1]


def _decoded(image: NDArray[np.uint8], inspector: Inspector, start: float) -> _Decoded:
    canvas = inspector.framing.lay(image)
    return _Decoded(canvas, time.perf_counter() - start, image)


def _stream(
    inspector: Inspector,
    items: Iterable[Item],
    decode: Callable[[Item], _Decoded],
    batch: int,
    ahead: int,
) -> Iterator[tuple[Item, _Outcome]]:
    """Items in order with what came of each; at most ``batch + ahead`` are held at any time.

    Of tiled images ``1 + ahead``.
    """
    if batch < 1 or ahead < 0:
        raise UsageError("Give a batch of 1 or more, and 0 or more images ahead.")
    together = 1 if inspector.framing.tiled else batch
    remaining = iter(items)
    waiting: deque[tuple[Item, Future[_Decoded]]] = deque()
    with ThreadPoolExecutor(_DECODERS, "flawmap-decode") as pool:
        while True:
            for item in itertools.islice(remaining, together + ahead - len(waiting)):
                waiting.append((item, pool.submit(decode, item)))
            if not waiting:
                return
            taken = [waiting.popleft() for _ in range(min(together, len(waiting)))]
            yield from _inspect(inspector, taken, batch)


def _inspect(
    inspector: Inspector, taken: Sequence[tuple[Item, Future[_Decoded]]], at_once: int
) -> Iterator[tuple[Item, _Outcome]]:
    """Those that could be decoded go through the graph at once."""
    decoded: list[_Decoded | FlawmapError] = []
    for _, future in taken:
        try:
            decoded.append(future.result())
        except FlawmapError as error:
            decoded.append(error)
    whole = [one.canvas for one in decoded if isinstance(one, _Decoded)]
    begun = time.perf_counter()
    answers = iter(list(inspector.see(whole, at_once)))
    share = (time.perf_counter() - begun) / max(1, len(whole))
    for (item, _), one in zip(taken, decoded, strict=True):
        if isinstance(one, FlawmapError):
            yield item, one
            continue
        anomaly_map, score = next(answers)
        start = time.perf_counter() - share - one.seconds
        size = one.canvas.photograph
        yield item, (one, inspector.judge(anomaly_map, score, size, start))
