"""Inspecting many files: decoding runs ahead of the graph, in bounded memory."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flawmap.errors import FlawmapError
from flawmap.images import read_image, resize_image
from flawmap.inspector.inspector import Inspection, Inspector

_AHEAD = 8  # images decoded or in decoding at any time
_DECODERS = 2


@dataclass(frozen=True)
class Inspected:
    """One file's outcome: the photograph and its inspection, or the reason there is none."""

    path: Path
    image: NDArray[np.uint8] | None = None
    inspection: Inspection | None = None
    error: str | None = None


@dataclass(frozen=True)
class _Decoded:
    image: NDArray[np.uint8]
    working: NDArray[np.uint8]
    seconds: float


def inspect_files(inspector: Inspector, paths: Iterable[Path]) -> Iterator[Inspected]:
    """Inspect files in order; one that cannot be read gives an ``error`` and the rest go on."""
    waiting: deque[tuple[Path, Future[_Decoded]]] = deque()
    remaining = iter(paths)
    with ThreadPoolExecutor(_DECODERS, "flawmap-decode") as pool:
        while True:
            while len(waiting) < _AHEAD and (path := next(remaining, None)) is not None:
                waiting.append((path, pool.submit(_decode, path, inspector.size)))
            if not waiting:
                return
            yield _inspect(inspector, *waiting.popleft())


def _decode(path: Path, size: tuple[int, int]) -> _Decoded:
    start = time.perf_counter()
    image = read_image(path)
    return _Decoded(image, resize_image(image, size), time.perf_counter() - start)


def _inspect(inspector: Inspector, path: Path, decoding: Future[_Decoded]) -> Inspected:
    try:
        decoded = decoding.result()
    except FlawmapError as error:
        return Inspected(path, error=str(error))
    start = time.perf_counter() - decoded.seconds
    maps, scores = inspector.graph(decoded.working[None])
    size = (decoded.image.shape[0], decoded.image.shape[1])
    judged = inspector.judge(maps[0], float(scores[0]), size, start)
    return Inspected(path, decoded.image, judged)
