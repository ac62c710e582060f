"""``flawmap predict``: overlays, masks, raw maps and verdicts for images."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Unpack

from flawmap.data.listing.images import Paths
from flawmap.data.targets import LINES, check_folder, check_target
from flawmap.inspection.inspector import Inspector
from flawmap.inspection.output.delivery import Delivery
from flawmap.inspection.output.lines import json_lines
from flawmap.inspection.pipeline import inspect_files
from flawmap.inspection.record import InspectionRecord
from flawmap.inspection.sources import list_images
from flawmap.runtime.base import RuntimeOptions
from flawmap.utils.files import check_writable, make_folder, sweep_below


def predict(
    run: str | os.PathLike[str],
    images: Paths,
    *,
    out: str | os.PathLike[str] | None = None,
    json_file: str | os.PathLike[str] | None = None,
    batch: int = 1,
    show: Callable[[InspectionRecord, int], None] = lambda record, total: None,
    **runtime: Unpack[RuntimeOptions],
) -> list[InspectionRecord]:
    """Inspect files and folders of images; return one record per image, in input order.

    Folders are searched recursively, except for ground-truth masks and ``out`` itself.
    ``out``: folder for ``NAME_overlay.png``, ``NAME_mask.png`` (both of the image's size) and
    ``NAME_map.npy`` (float32, of the map's size). ``json_file``: file for
    the records, one a line of JSON; ``-`` for standard output. They are written one by one, so they
    survive however the call ends; the record of an image that cannot be read, inspected or written
    has an ``error``. ``batch``: images per batch.
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
    records: list[InspectionRecord] = []
    with json_lines(json_file) as write:

        def give(record: InspectionRecord) -> None:
            write(record)
            records.append(record)

        results = inspect_files(
            inspector, (one.path for one in targets), batch, keep_images=folder is not None
        )
        with (
            contextlib.closing(results),
            Delivery(
                inspector.manifest,
                folder,
                give,
                show=lambda record: show(record, len(targets)),
                inputs=inputs,
                lines=json_file,
            ) as delivery,
        ):
            for target, result in zip(targets, results, strict=True):
                delivery.add(result, target.name)
    return records
