"""``flawmap predict``: overlays, masks, raw maps and verdicts of one's own images."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typing_extensions import Unpack

from flawmap.backends.base import RuntimeOptions
from flawmap.datasets.listing import Paths
from flawmap.files import make_folder
from flawmap.inspector.inspector import Inspector
from flawmap.inspector.listing import list_images
from flawmap.inspector.output import json_lines, line_of, write_pictures
from flawmap.inspector.pipeline import inspect_files

_WRITERS = 2
_WRITING = 8  # images waiting to be written at any time
_TILED_WRITING = 2  # likewise, where images are large


@dataclass(frozen=True)
class Prediction:
    """One line of ``predict --json``."""

    line: dict[str, Any]

    @property
    def failed(self) -> bool:
        """Whether the image could not be inspected."""
        return "error" in self.line


def predict(
    run: str | os.PathLike[str],
    images: Paths,
    *,
    out: str | os.PathLike[str] | None = None,
    json_file: str | os.PathLike[str] | None = None,
    batch: int = 1,
    show: Callable[[Prediction, int], None] = lambda prediction, total: None,
    **runtime: Unpack[RuntimeOptions],
) -> list[dict[str, Any]]:
    """Inspect files and folders of images; returns one dict an image, in input order.

    Folders are searched with all below them, but for ground truth and ``out`` itself.
    ``out``: folder for ``NAME_overlay.png``, ``NAME_mask.png`` (both of the photograph's size)
    and ``NAME_map.npy`` (float32, of the map's size). ``json_file``: JSON lines, ``-`` for standard
    output. ``batch``: images that go through the graph at once. ``runtime``: as for
    :meth:`Inspector.load`. Raises FlawmapError where there is nothing to inspect.
    """
    inspector = Inspector.load(run, **runtime)
    most = _TILED_WRITING if inspector.framing.tiled else _WRITING
    targets = list_images(images, out=None if out is None else Path(out))
    folder = make_folder(Path(out)) if out is not None else None
    lines: list[dict[str, Any]] = []
    with json_lines(json_file) as write, ThreadPoolExecutor(_WRITERS, "flawmap-write") as pool:
        writing: deque[Future[None]] = deque()
        paths = [target.path for target in targets]
        results = inspect_files(inspector, paths, batch, photographs=folder is not None)
        for target, result in zip(targets, results, strict=True):
            place = None
            if folder is not None and result.inspection is not None:
                place = folder / target.name
                writing.append(pool.submit(write_pictures, place, result, inspector))
                while len(writing) > most:
                    writing.popleft().result()
            lines.append(line_of(result, inspector.manifest.filters, place))
            write(lines[-1])
            show(Prediction(lines[-1]), len(targets))
        for future in writing:
            future.result()
    return lines
