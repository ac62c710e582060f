"""``flawmap predict``: overlays, masks, raw maps and verdicts for images."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

from flawmap.data.listing.images import Paths
from flawmap.data.targets import LINES, check_folder, check_target
from flawmap.inspection.inspector import Inspector
from flawmap.inspection.output.delivery import Delivery
from flawmap.inspection.output.lines import Line, json_lines
from flawmap.inspection.pipeline import inspect_files
from flawmap.inspection.sources import list_images
from flawmap.runtime.base import RuntimeOptions
from flawmap.utils.files import check_writable, make_folder, sweep_below


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
    """Inspect files and folders of images; return one dict per image, in input order.

    Folders are searched recursively, except for ground-truth masks and ``out`` itself.
    ``out``: folder for ``NAME_overlay.png``, ``NAME_mask.png`` (both of the image's size) and
    ``NAME_map.npy`` (float32, of the map's size). ``json_file``: JSON lines, ``-`` for standard
    output. Lines are written one by one, so they survive however the call ends; the line of an
    image that cannot be read, inspected or written has an ``error``. ``batch``: images per batch.
    ``runtime``: as for :meth:`Inspector.load`. Raises FlawmapError if there is nothing to inspect
    or the disk is full, UsageError if ``json_file`` holds anything but such lines.
    """
    check_folder(out)
    check_target(json_file, LINES, inputs=[out], streamed=True)
    inspector = Inspector.load(run, **runtime)
    targets = list_images(images, out=None if out is None else Path(out))
    folder = None if out is None else make_folder(Path(out))
    if folder is not None:
        check_writable(folder)
        sweep_below(folder)
    inputs = set() if folder is None else {str(one.path.absolute()) for one in targets}
    lines: list[dict[str, Any]] = []
    with json_lines(json_file) as write:

        def give(line: Line) -> None:
            write(line)
            lines.append(line)

        def tell(line: Line) -> None:
            show(Prediction(line), len(targets))

        results = inspect_files(
            inspector, (one.path for one in targets), batch, photographs=folder is not None
        )
        with (
            contextlib.closing(results),
            Delivery(
                inspector, folder, give, show=tell, inputs=inputs, lines=json_file
            ) as delivery,
        ):
            for target, result in zip(targets, results, strict=True):
                delivery.add(result, target.name)
    return lines
